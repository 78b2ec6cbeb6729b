/** Statements over the rows of all users, by their shape, with the reason for each. */
export const acrossUsers: Readonly<Record<string, string>> = {}
