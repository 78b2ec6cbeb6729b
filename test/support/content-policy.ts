// What a page may do, judged by csp_evaluator: the checks of Google's CSP Evaluator.
import { CspEvaluator } from 'csp_evaluator'
import { Severity } from 'csp_evaluator/dist/finding.js'
import { CspParser } from 'csp_evaluator/dist/parser.js'
import { expect } from 'vitest'

/** What csp_evaluator has against a policy, but for what it finds worth a remark only. */
export function findPolicyFaults(policy: string): string[] {
  const findings = new CspEvaluator(new CspParser(policy).csp).evaluate()
  return findings
    .filter(({ severity }) => severity <= Severity.SYNTAX)
    .map(({ directive, value, description }) => `${directive} ${value ?? ''}: ${description}`)
}

/** A page's policy lets nothing in that the page holds itself, and the page holds no such thing and loads nothing from elsewhere. */
export function expectSafePage(policy: string | null, page: string): void {
  expect(findPolicyFaults(policy ?? ''), policy ?? 'no policy').toEqual([])
  expect(policy).not.toMatch(/unsafe|\*/)
  expect(policy).toMatch(/default-src 'none'/)
  expect(policy).toMatch(/frame-ancestors 'none'/)
  expect(policy).toMatch(/base-uri 'none'/)
  expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:/)
  // A link in a tweet leads elsewhere; nothing is loaded from there.
  for (const [tag] of page.matchAll(/<(?:script|link|img|iframe|source|object|embed|form)\b[^>]*>/g))
    expect(tag).not.toMatch(/(?:src|href|action|data)="(?!\/(?!\/)|"|data:image)/)
}
