/** Where a command writes: what it was asked for, and what there is to say about that. */
export type Output = { answer(line: string): void; remark(line: string): void }
