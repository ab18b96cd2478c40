import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Ask, begin, discover, type LoginClient, LoginRefused, logoutUrl, redeem, renew } from './openid.ts'

const issuer = 'https://login.example.org/tenant'
const client: LoginClient = { issuer, clientId: 'shop', secret: 's e:c', secretIn: 'header', scopes: ['email'], parameters: [] }
const honest = {
  issuer,
  authorization_endpoint: `${issuer}/login?realm=x`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/keys`,
  response_types_supported: ['code'],
  subject_types_supported: ['public'],
  id_token_signing_alg_values_supported: ['RS256'],
}
type Question = Parameters<Ask>[0]

/** asked: what came. */
const answering = (reply: object | string, status = 200, asked: Question[] = []): Ask => {
  const body = typeof reply === 'string' ? reply : JSON.stringify(reply)
  return question => {
    asked.push(question)
    return Promise.resolve({ status, body, type: 'application/json; charset=utf-8' })
  }
}
async function refusal(work: Promise<unknown>): Promise<string> {
  try {
    await work
  } catch (thrown) {
    if (thrown instanceof LoginRefused) return `${thrown.code}: ${thrown.message}`
    throw thrown
  }
  return 'taken'
}

test('a provider is found by what it says of itself, at the place that its issuer gives', async () => {
  const asked: Question[] = []
  const { jwksUri, algorithms } = await discover(client, answering(honest, 200, asked))
  assert.deepEqual([jwksUri, algorithms], [`${issuer}/keys`, ['RS256']])
  assert.deepEqual(
    asked.map(({ method, url }) => `${method} ${url}`),
    [`GET ${issuer}/.well-known/openid-configuration`],
  )
})

test('a provider that says it is another, leads to plaintext, has no PKCE, or answers no JSON is not used', async () => {
  const said = (change: object): Promise<string> => refusal(discover(client, answering({ ...honest, ...change })))
  assert.equal(await said({}), 'taken')
  assert.match(
    await said({ issuer: 'https://evil.example' }),
    /^login-unavailable: what https:\/\/login\.example\.org says of itself cannot be had/,
  )
  assert.match(await said({ issuer: 'https://LOGIN.example.org/tenant' }), /its issuer is another/)
  for (const name of ['authorization_endpoint', 'token_endpoint', 'jwks_uri']) {
    assert.match(await said({ [name]: 'http://login.example.org/x' }), new RegExp(`names no ${name} of https`))
    assert.match(await said({ [name]: undefined }), new RegExp(`names no ${name} of https`))
  }
  assert.match(await said({ code_challenge_methods_supported: ['plain'] }), /does not take PKCE with S256/)
  assert.match(await refusal(discover(client, answering('<html>'))), /^login-unavailable/)
  assert.match(await refusal(discover(client, answering({}, 404))), /^login-unavailable/)
  assert.match(
    await refusal(discover(client, () => Promise.reject(new Error('it does not answer')))),
    /login-unavailable: .*it does not answer/,
  )
})

test('a login says what it must, whatever the provider had in its own URL, and never the same twice', async () => {
  const provider = await discover(client, answering(honest))
  const parameters = [
    { name: 'prompt', value: 'login' },
    { name: 'state', value: 'mine' },
  ]
  const one = await begin({ ...client, parameters }, provider, 'https://shop.example.org/back')
  const { searchParams } = new URL(one.url)
  assert.equal(searchParams.get('realm'), 'x')
  assert.equal(searchParams.get('prompt'), 'login')
  assert.equal(searchParams.get('scope'), 'openid email')
  assert.deepEqual(searchParams.getAll('state'), [one.state])
  assert.equal(searchParams.get('code_challenge_method'), 'S256')
  assert.ok(!one.url.includes(one.verifier))
  const other = await begin(client, provider, 'https://shop.example.org/back')
  for (const each of ['state', 'nonce', 'verifier'] as const) assert.notEqual(one[each], other[each])
})

test('a code is brought with the secret and the verifier; what the endpoint answers is told by its word only', async () => {
  const provider = await discover(client, answering(honest))
  const back = 'https://shop.example.org/back'
  const begun = await begin(client, provider, back)
  const answer = new URLSearchParams({ code: 'c', state: begun.state })
  const asked: Question[] = []
  const said = (ask: Ask): Promise<string> => refusal(redeem(client, provider, begun, back, answer, ask))
  assert.match(
    await said(answering({ error: 'invalid_grant', error_description: 'secret' }, 400, asked)),
    /^login-failed: the provider says: invalid_grant$/,
  )
  const { headers, body, method, url } = asked[0]!
  assert.deepEqual([method, url], ['POST', `${issuer}/token`])
  const authorization = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')![1]
  assert.equal(Buffer.from(authorization.slice(6), 'base64').toString(), 'shop:s+e%3Ac', 'RFC 6749 §2.3.1')
  assert.deepEqual(Object.fromEntries(new URLSearchParams(body)), {
    code: 'c',
    code_verifier: begun.verifier,
    grant_type: 'authorization_code',
    redirect_uri: back,
  })
  assert.match(await said(answering({ error: '<b>' }, 400)), /^login-failed: the provider says: something else$/)
  assert.match(await said(answering({ error: 'invalid_client' }, 401)), /^login-unavailable/)
  assert.match(await said(answering({}, 503)), /^login-unavailable: the provider answers 503$/)
  assert.match(await said(answering('no JSON')), /^login-failed/)
  assert.match(await said(answering({ access_token: 'a', token_type: 'Bearer' })), /^login-failed/, 'without an ID token')
  assert.match(await said(() => Promise.reject(new Error('it is away'))), /^login-unavailable: it is away$/)
  assert.match(await refusal(redeem(client, provider, { ...begun, state: 'other' }, back, answer, answering({}))), /^login-failed/)
  assert.match(await refusal(renew(client, provider, 'r', answering({ error: 'invalid_grant' }, 400))), /^login-failed/)
})

test('a logout leads to the provider where it has a place for it, over https', async () => {
  const place = async (end_session_endpoint?: string) =>
    logoutUrl(
      client,
      await discover(client, answering({ ...honest, ...(end_session_endpoint && { end_session_endpoint }) })),
      'https://shop.example.org/',
      'hint',
    )
  assert.equal(await place(), undefined)
  assert.equal(await place('http://login.example.org/logout'), undefined)
  const { searchParams } = new URL((await place(`${issuer}/logout`))!)
  assert.deepEqual(Object.fromEntries(searchParams), {
    client_id: 'shop',
    post_logout_redirect_uri: 'https://shop.example.org/',
    id_token_hint: 'hint',
  })
})
