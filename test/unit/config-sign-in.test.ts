import { expect, test } from 'vitest'
import { parseSignIn, type SignInConfig } from '../../src/config/sign-in-config.ts'

function parse(environment: Record<string, string>): { signIn: SignInConfig; problems: string[] } {
  const problems: string[] = []
  return { signIn: parseSignIn((name) => environment[name] ?? null, problems), problems }
}

test('lets everybody sign in unless it is told otherwise', () => {
  expect(parse({})).toEqual({ signIn: { mode: 'open', allowed: null }, problems: [] })
})

test('parses logins, numeric ids and organizations, separated by commas or white space', () => {
  const { signIn, problems } = parse({
    SIGN_IN: 'invite',
    ALLOWED_GITHUB_LOGINS: 'Mara-Holt, id:583231 octo_corp',
    ALLOWED_GITHUB_ORGS: 'acme,Other',
  })
  expect(problems).toEqual([])
  expect(signIn).toEqual({
    mode: 'invite',
    allowed: { logins: ['mara-holt', 'octo_corp'], githubIds: [583231], organizations: ['acme', 'Other'] },
  })
})

test.each<[Record<string, string>, string]>([
  [{ SIGN_IN: 'Open' }, 'SIGN_IN must be one of open, closed, invite.'],
  [{ ALLOWED_GITHUB_LOGINS: 'mara@example.com' }, 'neither a login of GitHub nor a numeric id'],
  [{ ALLOWED_GITHUB_LOGINS: 'id:mara' }, 'neither a login of GitHub nor a numeric id'],
  [{ ALLOWED_GITHUB_ORGS: 'https://github.com/acme' }, 'is not the login of an organization'],
  [
    { ALLOWED_GITHUB_ORGS: Array.from({ length: 11 }, (_, index) => `org-${index}`).join(',') },
    '10 organizations at most',
  ],
])('refuses the configuration %j', (environment, sentence) => {
  const { problems } = parse(environment)
  expect(problems.join(' ')).toContain(sentence)
})
