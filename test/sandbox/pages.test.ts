import { describe, expect, it } from 'vitest'
import { expectSafePage } from '../support/content-policy.ts'
import { authorizeUrl, connectAccount, newPkce, openSandbox, post } from './client.ts'

async function page(url: string | URL): Promise<string> {
  return (await fetch(url)).text()
}

describe('the pages', () => {
  it('C-06 say that they are a simulation, and load nothing from other origins', async () => {
    const sandbox = await openSandbox()
    const github = '/login/oauth/authorize?client_id=github-client'
    const urls = ['/', '/maraholt', '/settings/connected_apps', '/nobody_here', github].map(
      (path) => sandbox.url + path,
    )
    for (const url of [...urls, authorizeUrl(sandbox, newPkce().challenge).href]) {
      const response = await fetch(url)
      const text = await response.text()
      expect(text).toContain('<strong>Sandbox</strong>')
      expect(text).not.toContain('<script')
      expectSafePage(response.headers.get('content-security-policy'), text)
    }
  })

  it('list each person with a picture and a label, and both decisions', async () => {
    const sandbox = await openSandbox()
    const text = await page(authorizeUrl(sandbox, newPkce().challenge))
    for (const account of sandbox.control.accounts()) expect(text).toContain(`value="${account.username}"`)
    expect(text).toMatch(/<button[^>]*value="approve">Authorize app</)
    expect(text).toMatch(/<button[^>]*value="deny"[^>]*>Cancel</)
    for (const [, source] of text.matchAll(/<img[^>]*src="([^"]+)"/g)) {
      const picture = await fetch(new URL(String(source), sandbox.url))
      expect(picture.headers.get('content-type')).toBe('image/svg+xml')
    }
  })

  it('show the posted tweets at X’s paths, escaped', async () => {
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    await post(sandbox, access, '<script>alert(1)</script> see https://example.com/a?b=1&c=2')
    const id = sandbox.control.tweets()[0]?.id
    for (const path of ['/', '/maraholt', `/maraholt/status/${id}`]) {
      const text = await page(sandbox.url + path)
      expect(text).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
      expect(text).toContain('href="https://example.com/a?b=1&amp;c=2"')
      expect(text).not.toContain('<script>')
    }
  })

  it('show a tweet under its author’s new username', async () => {
    const sandbox = await openSandbox()
    const id = sandbox.control.postAs('maraholt', 'hello')
    sandbox.control.renameAccount('maraholt', 'mara_h')
    const response = await fetch(`${sandbox.url}/maraholt/status/${id}`)
    expect(new URL(response.url).pathname).toBe(`/mara_h/status/${id}`)
    expect((await fetch(`${sandbox.url}/maraholt`)).status).toBe(404)
  })
})
