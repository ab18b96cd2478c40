/**
 * A client of OpenID Connect (Core 1.0, Discovery 1.0, RFC 6749, RFC 7636, RFC 9207), without sockets: a login begun, its code turned into tokens, tokens renewed.
 *
 *   discover ─▶ begin: state, nonce, verifier, URL ─▶ the browser ─▶ redeem: state, iss, code ─▶ token endpoint ─▶ ID token: iss, aud, azp, nonce, exp
 *
 * The signature of the ID token is for the caller to verify, who has the keys.
 */

import type { AuthorizationServer, Client, ClientAuth, CustomFetchOptions, TokenEndpointResponse } from 'oauth4webapi'

/** type: Content-Type of the answer. Rejects where there is none. Redirects are not followed. */
export type Ask = (question: {
  readonly url: string
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}) => Promise<{ readonly status: number; readonly body: string; readonly type: string }>

/** unavailable: the provider gave no answer that can be used; refused: it, or the rules, said no. The message is one sentence without anything secret. */
export class LoginRefused {
  readonly code: 'login-unavailable' | 'login-failed'
  readonly message: string
  constructor(code: LoginRefused['code'], message: string) {
    this.code = code
    this.message = message
  }
}

/** secret: empty: a public client. */
export type LoginClient = {
  readonly issuer: string
  readonly clientId: string
  readonly secret: string
  readonly secretIn: 'header' | 'body'
  readonly scopes: readonly string[]
  readonly parameters: readonly { readonly name: string; readonly value: string }[]
}
/** What the provider says of itself. */
export type Provider = { readonly server: AuthorizationServer; readonly jwksUri: string; readonly algorithms: readonly string[] }
/** What must be there again when the browser comes back. */
export type Begun = { readonly state: string; readonly nonce: string; readonly verifier: string }
/** expiresAt: of the access token, ms since the epoch; undefined: it is not said. idToken: its signature is not yet verified; a renewal need not bring one. */
export type Granted = {
  readonly accessToken: string
  readonly idToken: string | undefined
  readonly refreshToken: string | undefined
  readonly expiresAt: number | undefined
}

const oauth = () => import('oauth4webapi')

/** Throws LoginRefused. */
export async function discover({ issuer }: Pick<LoginClient, 'issuer'>, ask: Ask): Promise<Provider> {
  const { discoveryRequest, processDiscoveryResponse } = await oauth()
  const url = new URL(issuer)
  let server: AuthorizationServer
  try {
    server = await processDiscoveryResponse(url, await discoveryRequest(url, await by(ask, issuer)))
  } catch (thrown) {
    throw new LoginRefused('login-unavailable', `what ${url.origin} says of itself cannot be had: ${reasonOf(thrown)}`)
  }
  const { authorization_endpoint: login, token_endpoint: token, jwks_uri: jwksUri } = server
  // To the letter (Discovery §4.3): a URL is also equal to another spelling.
  if (server.issuer !== issuer) throw new LoginRefused('login-unavailable', `${url.origin} says that its issuer is another`)
  for (const [name, each] of Object.entries({ authorization_endpoint: login, token_endpoint: token, jwks_uri: jwksUri }))
    if (each === undefined || !URL.canParse(each) || (isInsecure(each) && !isInsecure(issuer)))
      throw new LoginRefused('login-unavailable', `${url.origin} names no ${name} of https`)
  if (server.code_challenge_methods_supported !== undefined && !server.code_challenge_methods_supported.includes('S256'))
    throw new LoginRefused('login-unavailable', `${url.origin} does not take PKCE with S256`)
  return { server, jwksUri: jwksUri!, algorithms: server.id_token_signing_alg_values_supported ?? ['RS256'] }
}

const isInsecure = (url: string): boolean => new URL(url).protocol !== 'https:'

/** redirectUri: where the provider sends the browser back. */
export async function begin(client: LoginClient, { server }: Provider, redirectUri: string): Promise<Begun & { readonly url: string }> {
  const { calculatePKCECodeChallenge, generateRandomCodeVerifier, generateRandomNonce, generateRandomState } = await oauth()
  const [state, nonce, verifier] = [generateRandomState(), generateRandomNonce(), generateRandomCodeVerifier()]
  const url = new URL(server.authorization_endpoint!)
  for (const { name, value } of client.parameters) url.searchParams.set(name, value)
  const own = {
    client_id: client.clientId,
    redirect_uri: redirectUri,
    response_type: 'code',
    scope: [...new Set(['openid', ...client.scopes])].join(' '),
    state,
    nonce,
    code_challenge: await calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  }
  for (const [name, value] of Object.entries(own)) url.searchParams.set(name, value)
  return { state, nonce, verifier, url: url.href }
}

/** answer: the query with which the browser came back. Throws LoginRefused. */
export async function redeem(
  client: LoginClient,
  { server }: Provider,
  { state, nonce, verifier }: Begun,
  redirectUri: string,
  answer: URLSearchParams,
  ask: Ask,
): Promise<Granted> {
  const { authorizationCodeGrantRequest, processAuthorizationCodeResponse, validateAuthResponse } = await oauth()
  const own = clientOf(client)
  return said(async () => {
    // RFC 9207: who has several providers must not hand a code of one to another.
    const checked = validateAuthResponse(server, own, answer, state)
    const proof = await proofOf(client)
    const response = await authorizationCodeGrantRequest(server, own, proof, checked, redirectUri, verifier, await by(ask, client.issuer))
    return grantedBy(await processAuthorizationCodeResponse(server, own, response, { expectedNonce: nonce, requireIdToken: true }))
  })
}

/** Throws LoginRefused; `login-failed` says that the token is of no use any more. */
export async function renew(client: LoginClient, { server }: Provider, refreshToken: string, ask: Ask): Promise<Granted> {
  const { processRefreshTokenResponse, refreshTokenGrantRequest } = await oauth()
  const own = clientOf(client)
  return said(async () => {
    const response = await refreshTokenGrantRequest(server, own, await proofOf(client), refreshToken, await by(ask, client.issuer))
    return grantedBy(await processRefreshTokenResponse(server, own, response))
  })
}

/** Where the provider logs out too (RP-Initiated Logout 1.0); undefined: it has no such place. hint: the ID token. */
export function logoutUrl({ clientId }: LoginClient, { server }: Provider, back: string, hint: string | undefined): string | undefined {
  const at = server.end_session_endpoint
  if (at === undefined || !URL.canParse(at) || (isInsecure(at) && !isInsecure(server.issuer))) return undefined
  const url = new URL(at)
  url.searchParams.set('client_id', clientId)
  url.searchParams.set('post_logout_redirect_uri', back)
  if (hint !== undefined) url.searchParams.set('id_token_hint', hint)
  return url.href
}

const clientOf = ({ clientId }: LoginClient): Client => ({ client_id: clientId })

async function proofOf({ secret, secretIn }: LoginClient): Promise<ClientAuth> {
  const { ClientSecretBasic, ClientSecretPost, None } = await oauth()
  return secret === '' ? None() : secretIn === 'body' ? ClientSecretPost(secret) : ClientSecretBasic(secret)
}

/** The library speaks `fetch`; what it asks goes the way of all questions to places outside. */
async function by(ask: Ask, issuer: string) {
  const { allowInsecureRequests, customFetch } = await oauth()
  const fetch = async (url: string, { method, headers, body }: CustomFetchOptions<string, unknown>): Promise<Response> => {
    const reply = await ask({
      url,
      method: method === 'POST' ? 'POST' : 'GET',
      headers,
      ...(body === undefined || body === null ? {} : { body: String(body as URLSearchParams) }),
    }).catch((thrown: unknown) => {
      throw new LoginRefused('login-unavailable', thrown instanceof Error ? thrown.message : String(thrown))
    })
    const hasBody = reply.status !== 204 && reply.status !== 304
    return new Response(hasBody ? reply.body : null, { status: reply.status, headers: { 'content-type': reply.type } })
  }
  return { [customFetch]: fetch, ...(isInsecure(issuer) ? { [allowInsecureRequests]: true } : {}) }
}

function grantedBy({ access_token, id_token, refresh_token, expires_in }: TokenEndpointResponse): Granted {
  return {
    accessToken: access_token,
    idToken: id_token,
    refreshToken: refresh_token,
    expiresAt: expires_in === undefined ? undefined : Date.now() + expires_in * 1000,
  }
}

/** Of what the library throws the code is told, and of what the provider says its code of error: never what a caller could have written. */
async function said<T>(ask: () => Promise<T>): Promise<T> {
  const {
    AuthorizationResponseError,
    OperationProcessingError,
    ResponseBodyError,
    UnsupportedOperationError,
    WWWAuthenticateChallengeError,
  } = await oauth()
  try {
    return await ask()
  } catch (thrown) {
    if (thrown instanceof LoginRefused) throw thrown
    if (thrown instanceof AuthorizationResponseError) throw new LoginRefused('login-failed', `the provider says: ${word(thrown.error)}`)
    if (thrown instanceof ResponseBodyError) {
      const isOurs = thrown.error === 'invalid_client' || thrown.error === 'unauthorized_client'
      throw new LoginRefused(isOurs ? 'login-unavailable' : 'login-failed', `the provider says: ${word(thrown.error)}`)
    }
    if (thrown instanceof WWWAuthenticateChallengeError)
      throw new LoginRefused('login-unavailable', 'the provider does not take this client and its secret')
    if (thrown instanceof OperationProcessingError && statusOf(thrown) >= 500)
      throw new LoginRefused('login-unavailable', `the provider answers ${statusOf(thrown)}`)
    if (thrown instanceof OperationProcessingError || thrown instanceof UnsupportedOperationError)
      throw new LoginRefused('login-failed', reasonOf(thrown))
    throw thrown
  }
}

function statusOf({ cause }: Error): number {
  return cause instanceof Response ? cause.status : 0
}

const word = (text: string): string => (/^[\w.-]{1,64}$/.test(text) ? text : 'something else')

function reasonOf(thrown: unknown): string {
  if (thrown instanceof LoginRefused) return thrown.message
  return thrown instanceof Error ? thrown.message.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200) : 'of an unknown reason'
}
