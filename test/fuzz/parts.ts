// What `npm run fuzz` sends, by what it is aimed at.
import fc from 'fast-check'
import { graphqlInputs } from './documents.ts'
import type { FuzzGateway } from './gateway.ts'
import { judgeAnswer, readGraphqlAnswer } from './judge.ts'

/** What came of a part. */
export type FuzzReport = {
  inputs: number
  /** How long each answer took that did nothing but refuse, in milliseconds. */
  refusals: number[]
}

/** Sends so many inputs, always the same for one seed. @throws Error with the smallest input found that was answered wrongly. */
export type FuzzPart = (gateway: FuzzGateway, options: { runs: number; seed: number }) => Promise<FuzzReport>

const fuzzDocuments: FuzzPart = async (gateway, { runs, seed }) => {
  const report: FuzzReport = { inputs: 0, refusals: [] }
  const property = fc.asyncProperty(graphqlInputs, async ({ asker, accept, body }) => {
    const startedAt = performance.now()
    const answer = await gateway.request('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept, ...gateway.askers[asker]() },
      body,
    })
    const text = await answer.text()
    const milliseconds = performance.now() - startedAt
    judgeAnswer(gateway, answer, text)
    const parts = readGraphqlAnswer(answer, text)
    report.inputs += 1
    if (parts.length > 0 && parts.every(({ data }) => data === undefined)) report.refusals.push(milliseconds)
  })
  await fc.assert(property, { numRuns: runs, seed })
  return report
}

/** Every part by its name. */
export const fuzzParts: Record<string, FuzzPart> = { documents: fuzzDocuments }
