/** Sentences about the configuration: `problems` prevent the start, `warnings` are logged. */
export type Remarks = { problems: string[]; warnings: string[] }
