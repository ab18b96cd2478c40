/** A provider of OpenID Connect that answers what a test wants it to: honest unless told otherwise. */

import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { SignJWT } from 'jose'

type Granted = { readonly nonce: string; readonly challenge: string; readonly redirectUri: string; readonly clientId: string }

const keyPair = (): KeyObject => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

export class HandmadeProvider implements AsyncDisposable {
  readonly clients: Record<string, string> = { shop: 'shop-secret' }
  readonly key = keyPair()
  readonly otherKey = keyPair()
  port = 0
  /** What the next ID tokens say besides. */
  claims: Record<string, unknown> = { sub: 'ann', email: 'ann@example.org', groups: ['editors'] }
  /** What is said of itself besides. */
  metadata: Record<string, unknown> = {}
  signWith: KeyObject | undefined
  nonce: string | undefined
  /** Status of the token endpoint in place of an answer. */
  breaks: number | undefined
  tokenSeconds = 600
  refreshTokens = true
  refreshed = 0
  asked = 0
  /** PEM; absent: plaintext. */
  readonly #tls: { readonly cert: string; readonly key: string } | undefined
  readonly #codes = new Map<string, Granted>()
  readonly #refresh = new Set<string>()
  #server: http.Server | undefined

  constructor(tls?: { readonly cert: string; readonly key: string }) {
    this.#tls = tls
  }

  get issuer(): string {
    return `http${this.#tls === undefined ? '' : 's'}://127.0.0.1:${this.port}`
  }

  async up(): Promise<void> {
    const answer = (request: http.IncomingMessage, reply: http.ServerResponse): void => void this.#answer(request, reply)
    const server = this.#tls === undefined ? http.createServer(answer) : https.createServer(this.#tls, answer)
    server.listen(this.port, '127.0.0.1')
    await once(server, 'listening')
    this.port = (server.address() as AddressInfo).port
    this.#server = server
  }
  async down(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    if (server === undefined) return
    const closed = once(server, 'close')
    server.close()
    server.closeAllConnections()
    await closed
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.down()
  }

  /** A person says yes at the URL: with which query the browser is sent back. */
  agree(location: string): URLSearchParams {
    const asked = new URL(location).searchParams
    const code = randomUUID()
    this.#codes.set(code, {
      nonce: asked.get('nonce')!,
      challenge: asked.get('code_challenge')!,
      redirectUri: asked.get('redirect_uri')!,
      clientId: asked.get('client_id')!,
    })
    return new URLSearchParams({ code, state: asked.get('state')!, iss: this.issuer })
  }

  async #answer(request: http.IncomingMessage, reply: http.ServerResponse): Promise<void> {
    this.asked++
    const say = (status: number, value: unknown) =>
      reply.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
    if (request.url === '/.well-known/openid-configuration')
      return void say(200, {
        issuer: this.issuer,
        authorization_endpoint: `${this.issuer}/login`,
        token_endpoint: `${this.issuer}/token`,
        end_session_endpoint: `${this.issuer}/logout`,
        jwks_uri: `${this.issuer}/keys`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256'],
        code_challenge_methods_supported: ['S256'],
        authorization_response_iss_parameter_supported: true,
        ...this.metadata,
      })
    if (request.url === '/keys')
      return void say(200, { keys: [{ ...createPublicKey(this.key).export({ format: 'jwk' }), kid: 'one', use: 'sig' }] })
    if (request.url !== '/token') return void say(404, {})
    const parts: Buffer[] = []
    for await (const part of request) parts.push(part as Buffer)
    if (this.breaks !== undefined) return void say(this.breaks, {})
    const body = new URLSearchParams(Buffer.concat(parts).toString())
    const [id = '', secret = ''] = Buffer.from((request.headers.authorization ?? '').slice(6), 'base64')
      .toString()
      .split(':')
      .map(decodeURIComponent)
    if (this.clients[id] === undefined || this.clients[id] !== secret) return void say(400, { error: 'invalid_client' })
    if (body.get('grant_type') === 'refresh_token') {
      if (!this.#refresh.delete(body.get('refresh_token') ?? '')) return void say(400, { error: 'invalid_grant' })
      this.refreshed++
      return void say(200, await this.#tokens(id, undefined))
    }
    const granted = this.#codes.get(body.get('code') ?? '')
    this.#codes.delete(body.get('code') ?? '')
    const challenge = createHash('sha256')
      .update(body.get('code_verifier') ?? '')
      .digest('base64url')
    if (
      granted === undefined ||
      granted.clientId !== id ||
      granted.redirectUri !== body.get('redirect_uri') ||
      granted.challenge !== challenge
    )
      return void say(400, { error: 'invalid_grant' })
    say(200, await this.#tokens(id, granted.nonce))
  }

  /** Refresh tokens hold once. */
  async #tokens(clientId: string, nonce: string | undefined): Promise<object> {
    const refresh = randomUUID()
    this.#refresh.add(refresh)
    return {
      access_token: `access-${this.refreshed}`,
      token_type: 'Bearer',
      expires_in: this.tokenSeconds,
      id_token: await this.token({ aud: clientId, ...(nonce === undefined ? {} : { nonce: this.nonce ?? nonce }), ...this.claims }),
      ...(this.refreshTokens ? { refresh_token: refresh } : {}),
    }
  }

  token(claims: object): Promise<string> {
    const now = Math.floor(Date.now() / 1000)
    return new SignJWT({ iss: this.issuer, iat: now, exp: now + 600, ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .sign(this.signWith ?? this.key)
  }
}
