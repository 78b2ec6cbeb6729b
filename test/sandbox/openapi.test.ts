import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Ajv, type ValidateFunction } from 'ajv'
import { describe, expect, it } from 'vitest'
import { makeMp4, makePng } from '../support/media-files.ts'
import { ALL_SCOPES, at, call, connectAccount, openSandbox, post, type ReceivedResponse } from './client.ts'

const REFERENCE = fileURLToPath(new URL('../../../shared/reference/', import.meta.url))

/**
 * The licence of X's documents does not allow a copy in this repository. The tests need them beside
 * it, and are skipped without them.
 */
describe.each(['2.166', '2.167'])('responses validate against X’s OpenAPI document %s', (version) => {
  const file = `${REFERENCE}x-openapi-${version}-subset.json`
  const present = existsSync(file)
  const title = (text: string) => (present ? text : `${text} (skipped: ${file} is not on this machine)`)

  it.skipIf(!present)(title('of every endpoint that the gateway uses'), async () => {
    const validate = createValidator(file)
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox, 'tomasz_k')
    const fields =
      'created_at,description,profile_image_url,protected,verified,verified_type,subscription_type,public_metrics'
    validate('get', '/2/users/me', await call(sandbox, access, 'GET', `/2/users/me?user.fields=${fields}`))

    const created = await post(sandbox, access, 'see https://example.com & <more>')
    validate('post', '/2/tweets', created)
    const id = String(at(created.body, 'data', 'id'))
    for (let count = 0; count < 6; count += 1) await post(sandbox, access, `post ${count}`)
    const options = 'created_at,author_id,conversation_id,entities,reply_settings,lang,possibly_sensitive'
    validate('get', '/2/tweets/{id}', await call(sandbox, access, 'GET', `/2/tweets/${id}?tweet.fields=${options}`))
    validate('get', '/2/tweets/{id}', await call(sandbox, access, 'GET', '/2/tweets/123'))
    validate('get', '/2/tweets', await call(sandbox, access, 'GET', `/2/tweets?ids=${id},123`))
    const timeline = '/2/users/244991042/tweets'
    validate(
      'get',
      '/2/users/{id}/tweets',
      await call(sandbox, access, 'GET', `${timeline}?max_results=5&tweet.fields=${options}`),
    )
    validate('get', '/2/users/{id}/tweets', await call(sandbox, access, 'GET', '/2/users/12/tweets'))
    validate('delete', '/2/tweets/{id}', await call(sandbox, access, 'DELETE', `/2/tweets/${id}`))
    validate('delete', '/2/tweets/{id}', await call(sandbox, access, 'DELETE', `/2/tweets/${id}`))
  })

  // 2.166 requires a `meta` in one of these responses, which nobody has seen and 2.167 dropped.
  it.skipIf(!present || version === '2.166')(title('of uploads'), async () => {
    const validate = createValidator(file)
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox, 'maraholt', `${ALL_SCOPES} media.write`)
    const video = makeMp4()
    const body = { media_category: 'tweet_video', media_type: 'video/mp4', total_bytes: video.length }
    const started = await call(sandbox, access, 'POST', '/2/media/upload/initialize', body)
    validate('post', '/2/media/upload/initialize', started)
    const id = String(at(started.body, 'data', 'id'))
    const segment = { media: video.toString('base64'), segment_index: 0 }
    const path = `/2/media/upload/${id}`
    validate('post', '/2/media/upload/{id}/append', await call(sandbox, access, 'POST', `${path}/append`, segment))
    validate('post', '/2/media/upload/{id}/finalize', await call(sandbox, access, 'POST', `${path}/finalize`))
    const status = `/2/media/upload?command=STATUS&media_id=${id}`
    validate('get', '/2/media/upload', await call(sandbox, access, 'GET', status))
    sandbox.control.advance(5)
    validate('get', '/2/media/upload', await call(sandbox, access, 'GET', status))
    const image = { media: makePng().toString('base64'), media_category: 'tweet_image' }
    validate('post', '/2/media/upload', await call(sandbox, access, 'POST', '/2/media/upload', image))
    const metadata = { id, metadata: { alt_text: { text: 'A video' } } }
    validate('post', '/2/media/metadata', await call(sandbox, access, 'POST', '/2/media/metadata', metadata))
  })

  it.skipIf(!present)(title('of refusals'), async () => {
    const validate = createValidator(file)
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    const foreign = sandbox.control.postAs('tomasz_k', 'nobody in particular')
    validate('post', '/2/tweets', await call(sandbox, access, 'POST', '/2/tweets', { texts: 'a' }))
    const reply = { reply: { in_reply_to_tweet_id: foreign } }
    validate('post', '/2/tweets', await post(sandbox, access, 'reply', reply))
    // 2.167 lists X's own problem types only, but X still sends about:blank.
    if (version === '2.166') validate('post', '/2/tweets', await post(sandbox, 'garbage', 'hello'))
  })

  it.skipIf(!present)(title('and an invalid response does not'), async () => {
    const validate = createValidator(file)
    const sandbox = await openSandbox()
    const { access } = await connectAccount(sandbox)
    sandbox.control.inject({ kind: 'response', body: { data: { id: 5, text: 'a' } }, match: { path: '/2/tweets' } })
    const response = await post(sandbox, access, 'hello')
    expect(() => validate('post', '/2/tweets', response)).toThrow('/data/id')
  })
})

function createValidator(file: string): (method: string, path: string, response: ReceivedResponse) => void {
  const document: unknown = JSON.parse(readFileSync(file, 'utf8'))
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false })
  ajv.addSchema(Object(document), 'x')
  const compiled = new Map<string, ValidateFunction>()
  return (method, path, response) => {
    const success = response.status < 300
    const type = (response.headers.get('content-type') ?? '').split(';')[0] ?? ''
    const keys = [
      'paths',
      path,
      method,
      'responses',
      success ? String(response.status) : 'default',
      'content',
      type,
      'schema',
    ]
    const pointer = `x#/${keys.map((key) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`
    const validate = compiled.get(pointer) ?? ajv.compile({ $ref: pointer })
    compiled.set(pointer, validate)
    if (!validate(response.body))
      throw new Error(`${method} ${path}: ${JSON.stringify(validate.errors)} in ${response.text}`)
  }
}
