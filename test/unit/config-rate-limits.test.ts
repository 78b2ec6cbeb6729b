import { describe, expect, test } from 'vitest'
import { parseConfig } from '../../src/config/config.ts'
import { defaultRateLimits } from '../../src/config/rate-limits.ts'
import { prepareDataDirectories } from '../support/config-environment.ts'

const { newDirectory, problemsOf } = prepareDataDirectories()

describe('RATE_LIMITS', () => {
  const read = (text: string) => parseConfig({ DATA_DIR: newDirectory(), RATE_LIMITS: text }).rateLimits

  test('overrides the named limits only', () => {
    expect(read('user=1200/60, post=5/3600')).toEqual({
      ...defaultRateLimits,
      user: { limit: 1200, windowSeconds: 60 },
      post: { limit: 5, windowSeconds: 3600 },
    })
    expect(read('off')).toBeNull()
  })

  test.each([
    'on',
    'user',
    'user=600',
    'user=0/60',
    'user=600/0',
    'user=-1/60',
    'users=600/60',
    'toString=1/1',
    'off,user=1/1',
  ])('refuses %s', (text) => {
    expect(problemsOf({ RATE_LIMITS: text })[0]).toMatch(
      /^RATE_LIMITS: ".+" is neither off nor one of total, user, token, address, sign-in, connect, change, post with a limit and a window in seconds/,
    )
  })
})

test.each([
  ['user=1000000000/60', 'RATE_LIMITS: the limit in "user=1000000000/60" is too large. The maximum is 999,999,999.'],
  ['post=20/1000000', 'RATE_LIMITS: the window in "post=20/1000000" is too long. The maximum is 999,999 seconds.'],
  [
    `connect=${'9'.repeat(400)}/1`,
    `RATE_LIMITS: the limit in "connect=${'9'.repeat(400)}/1" is too large. The maximum is 999,999,999.`,
  ],
])('RATE_LIMITS names the number that is too large in %s', (text, problem) => {
  expect(problemsOf({ RATE_LIMITS: text })).toEqual([problem])
  const largest = parseConfig({ DATA_DIR: newDirectory(), RATE_LIMITS: 'user=999999999/999999' }).rateLimits
  expect(largest?.user).toEqual({ limit: 999_999_999, windowSeconds: 999_999 })
})
