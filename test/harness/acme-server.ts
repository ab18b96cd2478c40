/** An ACME server (RFC 8555) behind a `fetch`, which examines what it is sent as strictly as it can, and lies where a test wants it. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { calculateJwkThumbprint, type FlattenedJWS, flattenedVerify, importJWK, type JWK } from 'jose'
import { certify } from './certify.ts'

export const origin = 'https://acme.test'
type Said = {
  readonly status: number
  readonly body?: unknown
  readonly text?: string
  readonly headers?: Readonly<Record<string, string>>
}
type Asked = { readonly path: string; readonly payload: unknown; readonly protected: Readonly<Record<string, unknown>> }

export const refusal = (type: string, detail: string, headers: Readonly<Record<string, string>> = {}, status = 400): Said => ({
  status,
  headers: { 'content-type': 'application/problem+json', ...headers },
  body: { type: `urn:ietf:params:acme:error:${type}`, detail },
})

export class AcmeServer {
  readonly asked: string[] = []
  /** What was shown for each token, as a resolver of challenges would find it. */
  readonly shown = new Map<string, string>()
  meta: object = {}
  hmac: Uint8Array | undefined
  /** What it answers instead; undefined: what is right. */
  lie: (asked: Asked) => Said | undefined = () => undefined
  /** Hosts in the certificate, where they are others than ordered. */
  names: readonly string[] | undefined
  #nonces = new Set<string>()
  #jwk: JWK | undefined
  #names: readonly string[] = []
  #valid = new Set<string>()
  #csr = ''
  chain = ''
  bound = false

  get nonces(): number {
    return this.#nonces.size
  }

  readonly fetch = (async (url: string, { method = 'GET', body }: RequestInit = {}): Promise<Response> => {
    const path = new URL(url).pathname
    assert.equal(new URL(url).origin, origin)
    this.asked.push(`${method} ${path}`)
    const said = await this.#answer(url, path, method, body as string | undefined)
    const nonce = crypto.randomUUID()
    this.#nonces.add(nonce)
    return new Response(method === 'HEAD' ? null : (said.text ?? JSON.stringify(said.body ?? {})), {
      status: said.status,
      headers: { 'replay-nonce': nonce, ...said.headers },
    })
  }) as typeof fetch

  async #answer(url: string, path: string, method: string, body = ''): Promise<Said> {
    if (method !== 'POST') {
      const lied = this.lie({ path, payload: undefined, protected: {} })
      if (lied !== undefined) return lied
      const at = (name: string): string => `${origin}/${name}`
      return {
        status: 200,
        body: { newNonce: at('nonce'), newAccount: at('account'), newOrder: at('order'), meta: this.meta },
      }
    }
    const jws = JSON.parse(body) as FlattenedJWS & { protected: string }
    const head = JSON.parse(Buffer.from(jws.protected, 'base64url').toString()) as Asked['protected'] & { jwk?: JWK }
    // RFC 8555 §6.2, §6.4, §6.5
    assert.equal(head['url'], url)
    assert.equal(head['alg'], 'ES256')
    assert.ok(this.#nonces.delete(String(head['nonce'])), 'a nonce of ours, once')
    if (path === '/account') this.#jwk = head.jwk
    else assert.equal(head['kid'], `${origin}/account/1`)
    const { payload: bytes } = await flattenedVerify(jws, await importJWK(this.#jwk!, 'ES256'))
    const text = Buffer.from(bytes).toString()
    const payload = text === '' ? undefined : (JSON.parse(text) as Readonly<Record<string, never>>)
    const lied = this.lie({ path, payload, protected: head })
    if (lied !== undefined) return lied
    if (path === '/account') return this.#account(url, payload!)
    if (path === '/order') {
      this.#csr = ''
      this.#names = (payload!['identifiers'] as unknown as readonly { value: string }[]).map(each => each.value)
      return { status: 201, headers: { location: `${origin}/order/1` }, body: this.#order() }
    }
    if (path === '/order/1') return { status: 200, body: this.#order() }
    if (path.startsWith('/authz/')) return { status: 200, body: this.#authorization(path.slice(7)) }
    if (path.startsWith('/challenge/')) {
      const host = path.slice(11)
      const token = tokenOf(host)
      assert.equal(this.shown.get(token), `${token}.${await calculateJwkThumbprint(this.#jwk!)}`)
      assert.deepEqual(payload, {})
      this.#valid.add(host)
      return { status: 200 }
    }
    if (path === '/finalize') {
      this.#csr = String(payload!['csr'])
      this.chain = signed(this.#csr, this.names ?? this.#names)
      return { status: 200, body: this.#order() }
    }
    assert.equal(path, '/certificate')
    return { status: 200, text: this.chain }
  }

  async #account(url: string, payload: Readonly<Record<string, never>>): Promise<Said> {
    const binding = payload['externalAccountBinding'] as FlattenedJWS | undefined
    if (this.hmac !== undefined) {
      const { payload: bound, protectedHeader } = await flattenedVerify(binding!, this.hmac)
      assert.deepEqual(JSON.parse(Buffer.from(bound).toString()), this.#jwk)
      assert.deepEqual({ ...protectedHeader }, { alg: 'HS256', kid: 'given', url })
      this.bound = true
    }
    return { status: 201, headers: { location: `${origin}/account/1` }, body: { status: 'valid' } }
  }

  #order() {
    const isReady = this.#names.every(each => this.#valid.has(each))
    return {
      status: this.#csr === '' ? (isReady ? 'ready' : 'pending') : 'valid',
      authorizations: this.#names.map(each => `${origin}/authz/${each}`),
      finalize: `${origin}/finalize`,
      certificate: `${origin}/certificate`,
    }
  }

  #authorization(host: string) {
    return {
      status: this.#valid.has(host) ? 'valid' : 'pending',
      identifier: { type: 'dns', value: host },
      challenges: [
        { type: 'dns-01', url: `${origin}/never`, token: 'x' },
        { type: 'http-01', url: `${origin}/challenge/${host}`, token: tokenOf(host), status: 'pending' },
      ],
    }
  }
}

export const tokenOf = (host: string): string => Buffer.from(`token for ${host}`).toString('base64url')

/** OpenSSL reads the request, and signs it by a root of its own. */
export function signed(csr: string, names: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'weft-acme-server-'))
  try {
    const at = (name: string): string => join(folder, name)
    const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    writeFileSync(at('request.der'), Buffer.from(csr, 'base64url'))
    writeFileSync(at('names'), `subjectAltName=${names.map(each => `DNS:${each}`).join(',')}\n`)
    certify({ key: at('root.key'), cert: at('root.pem'), subject: '/CN=root' })
    openssl('req', '-in', 'request.der', '-inform', 'DER', '-verify', '-out', 'request.pem')
    openssl(
      'x509',
      '-req',
      '-in',
      'request.pem',
      '-CA',
      'root.pem',
      '-CAkey',
      'root.key',
      '-days',
      '2',
      '-extfile',
      'names',
      '-out',
      'leaf.pem',
    )
    return readFileSync(at('leaf.pem'), 'utf8') + readFileSync(at('root.pem'), 'utf8')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
