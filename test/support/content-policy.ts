// Checks Content-Security-Policy headers with csp_evaluator, the checks of Google's CSP Evaluator.
import { CspEvaluator } from 'csp_evaluator'
import { Severity } from 'csp_evaluator/dist/finding.js'
import { CspParser } from 'csp_evaluator/dist/parser.js'
import { expect } from 'vitest'

/** Returns the findings of csp_evaluator above its informational level. */
export function findPolicyFaults(policy: string): string[] {
  const findings = new CspEvaluator(new CspParser(policy).csp).evaluate()
  return findings
    .filter(({ severity }) => severity <= Severity.SYNTAX)
    .map(({ directive, value, description }) => `${directive} ${value ?? ''}: ${description}`)
}

/**
 * Expects a policy without inline content, and a page without inline scripts or styles that loads
 * nothing from another host.
 */
export function expectSafePage(policy: string | null, page: string): void {
  expect(findPolicyFaults(policy ?? ''), policy ?? 'no policy').toEqual([])
  expect(policy).not.toMatch(/unsafe|\*/)
  expect(policy).toMatch(/default-src 'none'/)
  expect(policy).toMatch(/frame-ancestors 'none'/)
  expect(policy).toMatch(/base-uri 'none'/)
  expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:/)
  // Links in tweets lead to other hosts; nothing is loaded from there.
  for (const [tag] of page.matchAll(/<(?:script|link|img|iframe|source|object|embed|form)\b[^>]*>/g))
    expect(tag).not.toMatch(/(?:src|href|action|data)="(?!\/(?!\/)|"|data:image)/)
}
