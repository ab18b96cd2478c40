/**
 * The SPIFFE Workload API at a socket of this machine: a process gets the identities of the Registrations that fit it, and is told of each new certificate.
 *
 *   connection ─▶ which process (kernel) ─▶ Registrations that fit ─▶ a key and a certificate for each ─▶ again: at two thirds of its life, when Registrations,
 *                                                                                                          roots or keys change, and the process is looked at anew
 *
 * A token for the audience `weft-join` is a join token: so `weft run` gets into the mesh without being given one.
 */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { derOf } from '#identity/certificate'
import { makeCsr } from '#identity/csr'
import { BadJwtSvid, signJwtSvid, verifyJwtSvid } from '#identity/jwt-svid'
import { newKey } from '#identity/key'
import { renewAt } from '#identity/rotation'
import { isSpiffeId, type SpiffeId, trustDomainId } from '#identity/spiffe'
import { type PeerProcess, ProcessGone } from '#io/attest'
import { type Call, RpcError, rpcCodes, serverStream, type Service, unary } from '#io/grpc'
import {
  type BundlesReply,
  fetchJwtBundles,
  fetchJwtSvid,
  fetchX509Bundles,
  fetchX509Svid,
  type JwtSvidReply,
  type JwtSvidRequest,
  type Svid,
  type SvidReply,
  validateJwtSvid,
} from '#xds/rpcs'
import type { Authority } from './authority.ts'
import type { JwtKeys } from './authority/jwt-keys.ts'
import { RevokedError } from './withdrawn.ts'
import { type Entitled, NobodyKnown, type Registrations } from './registrations.ts'

export type WorkloadApiParts = {
  readonly authority: Pick<Authority, 'trustDomain' | 'roots' | 'issue'>
  readonly jwt: JwtKeys
  readonly registrations: Registrations
  /** For one use, soon. */
  readonly joinToken: (identity: SpiffeId) => Promise<string>
  /** Throws when this identity is believed no more. */
  readonly admit?: (identity: SpiffeId) => void
  /** PEM: roots of other trust domains that are believed, by domain. */
  readonly federated?: () => Readonly<Record<string, readonly string[]>>
  readonly clock: Clock
  readonly log: Log
}

/** The audience of join tokens. */
const joinAudience = 'weft-join'
/** Of a JWT-SVID: it cannot be taken back. */
const jwtLifeMs = 300_000
/** A certificate that could not be made is tried again after it. */
const againMs = 2000

type Out<Reply> = { send(message: Reply): boolean; end(status: { readonly code: number; readonly details: string }): void }

export class AttestedApi {
  readonly #parts: WorkloadApiParts
  readonly #told = new Set<() => void>()

  constructor(parts: WorkloadApiParts) {
    this.#parts = parts
  }

  /** Registrations, roots or keys are others now: who is connected is told what holds now. */
  changed(): void {
    for (const tell of this.#told) tell()
  }

  /** For one connection. */
  servicesFor(peer: PeerProcess): readonly Service[] {
    const { registrations, authority, clock } = this.#parts
    const entitled = () => registrations.ofProcess(peer)
    return [
      serverStream(fetchX509Svid, (_request, out, call) => this.#follow(call, out, this.#svids(peer)), { open: true }),
      serverStream(
        fetchX509Bundles,
        (_request, out, call) => this.#follow(call, out, async () => (await entitled(), { reply: this.#bundles() })),
        {
          open: true,
        },
      ),
      unary(fetchJwtSvid, (request, call) => this.#tokens(request, call, entitled), { open: true }),
      serverStream(
        fetchJwtBundles,
        (_request, out, call) => this.#follow(call, out, async () => (await entitled(), { reply: this.#jwtBundles() })),
        { open: true },
      ),
      unary(
        validateJwtSvid,
        async ({ audience, token }, call) => {
          demandHeader(call)
          await entitled().catch(refuse)
          try {
            const { identity, claims } = await verifyJwtSvid(
              token,
              audience,
              { [authority.trustDomain]: this.#parts.jwt.jwks() },
              clock.now(),
            )
            return { id: identity, claims }
          } catch (thrown) {
            if (thrown instanceof BadJwtSvid) throw new RpcError(rpcCodes.invalidArgument, thrown.message)
            throw thrown
          }
        },
        { open: true },
      ),
    ]
  }

  /** For proxies, which are who their certificate says, and ask for their programs. */
  readonly forProxies: readonly Service[] = [
    unary(fetchJwtSvid, (request, call) => this.#tokens(request, call, async () => [{ identity: peerOf(call), hint: '' }])),
    serverStream(fetchJwtBundles, (_request, out, call) => this.#follow(call, out, async () => ({ reply: this.#jwtBundles() }))),
  ]

  /** Sends what `make` gives, and again when something changes or `until` comes. Ends with the reason where there is nothing to be had any more. */
  #follow<Reply>(call: Call, out: Out<Reply>, make: () => Promise<{ readonly reply: Reply; readonly until?: number }>): () => void {
    demandHeader(call)
    const { clock, log } = this.#parts
    let cancel = (): void => {}
    let isOver = false
    let isBusy = false
    let isStale = false
    let last = ''
    const stop = (): void => {
      isOver = true
      cancel()
      this.#told.delete(tell)
    }
    const tell = (): void => {
      if (isBusy) isStale = true
      else void round()
    }
    const round = async (): Promise<void> => {
      isBusy = true
      cancel()
      try {
        const { reply, until } = await make()
        if (isOver) return
        const text = JSON.stringify(reply, (_name, value: unknown) =>
          value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value,
        )
        if (text !== last) out.send(reply)
        last = text
        if (until !== undefined) cancel = clock.after(Math.max(0, until - clock.now()), tell)
      } catch (thrown) {
        if (isOver) return
        const status = asStatus(thrown)
        if (status !== undefined) {
          log.warn('a program of this machine is refused', { from: call.address, reason: status.message })
          stop()
          return out.end(status.status)
        }
        log.warn('no certificate for a program of this machine yet', { error: thrown, retryInMs: againMs })
        cancel = clock.after(againMs, tell)
      } finally {
        isBusy = false
        if (isStale && !isOver) {
          isStale = false
          void round()
        }
      }
    }
    this.#told.add(tell)
    void round()
    return stop
  }

  /** What it gave last is given again while it holds: others may have changed. */
  #svids(peer: PeerProcess): () => Promise<{ readonly reply: SvidReply; readonly until: number }> {
    const { authority, clock, log, registrations, admit } = this.#parts
    let last: { readonly of: string; readonly reply: SvidReply; readonly until: number } | undefined
    return async () => {
      const all = believed(await registrations.ofProcess(peer), admit)
      const roots = authority.roots()
      const federated = this.#federated()
      const of = JSON.stringify([all, roots, this.#parts.federated?.()])
      if (last?.of === of && clock.now() < last.until) return last
      let until = Number.POSITIVE_INFINITY
      const svids: Svid[] = []
      for (const { identity, hint } of all) {
        const key = await newKey()
        const { chain, serial, notAfter } = await authority.issue(makeCsr(key, identity), identity)
        until = Math.min(until, renewAt({ notBefore: clock.now(), notAfter }, Math.random()))
        const own = chain.filter(pem => !roots.includes(pem))
        svids.push({ id: identity, chain: derOf(own.join('\n')), key: derOf(key.pem), bundle: derOf(roots.join('\n')), hint })
        log.info('issued a certificate', {
          identity,
          serial,
          until: new Date(notAfter).toISOString(),
          proof: 'process',
          ...peer.credentials,
        })
      }
      last = { of, reply: { svids, federated }, until }
      return last
    }
  }

  async #tokens({ audience, id }: JwtSvidRequest, call: Call, who: () => Promise<readonly Entitled[]>): Promise<JwtSvidReply> {
    demandHeader(call)
    const { jwt, clock, joinToken, log, admit } = this.#parts
    if (audience.length === 0 || audience.includes(''))
      throw new RpcError(rpcCodes.invalidArgument, 'a token needs an audience: say for whom it is')
    const all = await who().catch(refuse)
    const asked = id === '' ? all : all.filter(({ identity }) => identity === id)
    const wanted = await Promise.try(() => believed(asked, admit)).catch(refuse)
    if (wanted.length === 0)
      throw new RpcError(rpcCodes.permissionDenied, `the caller is ${all.map(({ identity }) => identity).join(' or ')}, and not ${id}`)
    const now = clock.now()
    const svids = []
    for (const { identity, hint } of wanted) {
      const isJoin = audience.includes(joinAudience)
      if (isJoin && (audience.length > 1 || call.peer !== undefined))
        throw new RpcError(rpcCodes.invalidArgument, `a token for "${joinAudience}" is for nobody else, and for who is not in the mesh yet`)
      const token = isJoin
        ? await joinToken(identity)
        : await signJwtSvid(jwt.signing(), { identity, audience, now, expiresAt: now + jwtLifeMs })
      log.info(isJoin ? 'made a join token' : 'signed a token', { identity, audience: audience.join(' '), from: call.address })
      svids.push({ id: identity, token, hint })
    }
    return { svids }
  }

  #federated(): Readonly<Record<string, Uint8Array>> {
    return Object.fromEntries(
      Object.entries(this.#parts.federated?.() ?? {}).map(([domain, roots]) => [trustDomainId(domain), derOf(roots.join('\n'))]),
    )
  }

  #bundles(): BundlesReply {
    const { trustDomain, roots } = this.#parts.authority
    return { bundles: { [trustDomainId(trustDomain)]: derOf(roots().join('\n')), ...this.#federated() } }
  }

  #jwtBundles(): BundlesReply {
    return { bundles: { [trustDomainId(this.#parts.authority.trustDomain)]: new TextEncoder().encode(this.#parts.jwt.jwks()) } }
  }
}

/** Without those that are revoked, unless all are: then it throws why. One that is taken back takes no others with it. */
function believed(all: readonly Entitled[], admit: WorkloadApiParts['admit']): readonly Entitled[] {
  let why: RevokedError | undefined
  const good = all.filter(({ identity }) => {
    try {
      admit?.(identity)
      return true
    } catch (thrown) {
      if (!(thrown instanceof RevokedError)) throw thrown
      why = thrown
      return false
    }
  })
  if (good.length === 0 && why !== undefined) throw why
  return good
}

/** §4.2 of the specification: a caller that was led astray by somebody else's page does not send it. */
function demandHeader(call: Call): void {
  if (call.metadata['workload.spiffe.io'] !== 'true')
    throw new RpcError(
      rpcCodes.invalidArgument,
      'the metadata workload.spiffe.io: true is missing: use a client of the SPIFFE Workload API',
    )
}

function peerOf({ peer }: Call): SpiffeId {
  if (peer === undefined || !isSpiffeId(peer)) throw new RpcError(rpcCodes.permissionDenied, 'this call needs a client certificate')
  return peer
}

/** Undefined: trying again may help. */
function asStatus(thrown: unknown): RpcError | undefined {
  if (thrown instanceof RpcError) return thrown
  if (thrown instanceof RevokedError) return new RpcError(rpcCodes.permissionDenied, thrown.message)
  if (thrown instanceof NobodyKnown || thrown instanceof ProcessGone) return new RpcError(rpcCodes.permissionDenied, thrown.message)
  return undefined
}

function refuse(thrown: unknown): never {
  throw asStatus(thrown) ?? thrown
}
