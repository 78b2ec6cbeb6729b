/**
 * True for a text that can be the id of a row, a UUID. Other texts match no row and are not sent to
 * the database: PostgreSQL rejects text that contains U+0000.
 */
export function isRowId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
}
