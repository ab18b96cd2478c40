/**
 * The SPIFFE Workload API beside a workload: its programs get a certificate of its identity, with a key of their own, and the roots of the mesh, and are
 * told of each new one. Nothing is asked of the control plane before somebody asks here.
 */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { derOf } from '#identity/certificate'
import { makeCsr } from '#identity/csr'
import { newKey } from '#identity/key'
import { driveRotation, type Life } from '#identity/rotation'
import { type SpiffeId, spiffeParts, trustDomainId } from '#identity/spiffe'
import { BadJwtSvid, verifyJwtSvid } from '#identity/jwt-svid'
import { type Call, type GrpcChannel, RpcError, rpcCodes, serverStream, type Service, unary } from '#io/grpc'
import {
  type BundlesReply,
  createCertificate,
  fetchJwtBundles,
  fetchJwtSvid,
  fetchX509Bundles,
  fetchX509Svid,
  type JwtSvidReply,
  type JwtSvidRequest,
  type JwtValidation,
  type SvidReply,
  validateJwtSvid,
} from '#xds/rpcs'
import { adopt, type OwnCertificate } from './certificate/kept.ts'

export type WorkloadApiOptions = {
  readonly identity: SpiffeId
  /** To the control plane, with the proxy's own certificate. */
  readonly channel: Promise<Pick<GrpcChannel, 'unary' | 'stream'>>
  readonly clock: Clock
  readonly log: Log
}

export class WorkloadApi {
  readonly #options: WorkloadApiOptions
  readonly #told = new Set<() => void>()
  #own: OwnCertificate | undefined
  #roots: readonly string[] = []
  /** Key sets by trust domain, as the control plane tells them. */
  #keys: BundlesReply | undefined
  #followsKeys = false
  #cancel = (): void => {}
  #isClosed = false
  #federated: Readonly<Record<string, readonly string[]>> = {}
  #rotation: { readonly stop: () => void } | undefined
  readonly services: readonly Service[]

  constructor(options: WorkloadApiOptions) {
    this.#options = options
    this.services = [
      serverStream(fetchX509Svid, (_request, out, call) => this.#tell(call, () => this.#svid(), out), { open: true }),
      serverStream(fetchX509Bundles, (_request, out, call) => this.#tell(call, () => this.#bundles(), out), { open: true }),
      unary(fetchJwtSvid, (request, call) => this.#tokens(request, call), { open: true }),
      serverStream(
        fetchJwtBundles,
        (_request, out, call) => {
          this.#beginKeys()
          return this.#tell(call, () => this.#keys, out)
        },
        { open: true },
      ),
      unary(validateJwtSvid, (request, call) => this.#validate(request, call), { open: true }),
    ]
  }

  /** PEM: what the mesh trusts now. federated: the same of other trust domains, by domain. */
  trusted(roots: readonly string[], federated: Readonly<Record<string, readonly string[]>> = {}): void {
    if (roots.join() === this.#roots.join() && JSON.stringify(federated) === JSON.stringify(this.#federated)) return
    this.#roots = roots
    this.#federated = federated
    this.#changed()
  }

  #changed(): void {
    for (const tell of this.#told) tell()
  }

  close(): void {
    this.#rotation?.stop()
    this.#isClosed = true
    this.#cancel()
  }

  /** Sends what there is as soon as it is there, and again when it changes. */
  #tell<Reply>(call: Call, reply: () => Reply | undefined, out: { send(message: Reply): boolean }): () => void {
    demandHeader(call)
    const tell = (): void => {
      const message = reply()
      if (message !== undefined) out.send(message)
    }
    this.#told.add(tell)
    this.#begin()
    tell()
    return () => void this.#told.delete(tell)
  }

  #begin(): void {
    const { clock, log, identity } = this.#options
    this.#rotation ??= driveRotation({
      clock,
      random: Math.random,
      ask: async (): Promise<Life> => {
        this.#own = await this.#request()
        this.#changed()
        return { notBefore: clock.now(), notAfter: this.#own.notAfter }
      },
      failed: (thrown, retryAt) =>
        log.warn('no certificate for the programs of the workload yet', { identity, error: thrown, retryInMs: retryAt - clock.now() }),
      expired: () => log.error('the certificate of the programs of the workload has expired', { identity }),
    })
  }

  async #request(): Promise<OwnCertificate> {
    const { channel, identity, clock } = this.#options
    const key = await newKey()
    const { chain } = await (await channel).unary(createCertificate, { csr: makeCsr(key, identity), validitySeconds: 0 })
    return adopt(key, chain, { identity, trustDomain: spiffeParts(identity).trustDomain }, clock.now())
  }

  #svid(): SvidReply | undefined {
    const own = this.#own
    if (own === undefined || this.#roots.length === 0) return undefined
    return {
      svids: [{ id: own.identity, chain: derOf(own.cert), key: derOf(own.key), bundle: this.#bundle() }],
      federated: this.#others(),
    }
  }

  #bundles(): BundlesReply | undefined {
    if (this.#roots.length === 0) return undefined
    return { bundles: { [trustDomainId(spiffeParts(this.#options.identity).trustDomain)]: this.#bundle(), ...this.#others() } }
  }

  /** Of other trust domains, as the mesh believes them. */
  #others(): Readonly<Record<string, Uint8Array>> {
    return Object.fromEntries(Object.entries(this.#federated).map(([domain, roots]) => [trustDomainId(domain), derOf(roots.join('\n'))]))
  }

  #bundle(): Uint8Array {
    return derOf(this.#roots.join('\n'))
  }

  /** The control plane signs, for who this proxy is. */
  async #tokens({ audience, id }: JwtSvidRequest, call: Call): Promise<JwtSvidReply> {
    demandHeader(call)
    if (audience.length === 0) throw new RpcError(rpcCodes.invalidArgument, 'a token needs an audience: say for whom it is')
    if (id !== '' && id !== this.#options.identity)
      throw new RpcError(rpcCodes.permissionDenied, `this workload is ${this.#options.identity}, and not ${id}`)
    return (await this.#options.channel).unary(fetchJwtSvid, { audience, id: '' }, { metadata: workloadHeader })
  }

  async #validate({ audience, token }: { readonly audience: string; readonly token: string }, call: Call): Promise<JwtValidation> {
    demandHeader(call)
    this.#beginKeys()
    const { clock } = this.#options
    for (let left = 50; this.#keys === undefined && left > 0; left--) await new Promise<void>(resolve => void clock.after(100, resolve))
    if (this.#keys === undefined)
      throw new RpcError(rpcCodes.unavailable, 'the keys of the mesh are not known yet: is the control plane there?')
    const bundles = Object.entries(this.#keys.bundles).map(([domain, keys]) => [
      domain.replace('spiffe://', ''),
      new TextDecoder().decode(keys),
    ])
    try {
      const { identity, claims } = await verifyJwtSvid(token, audience, Object.fromEntries(bundles), clock.now())
      return { id: identity, claims }
    } catch (thrown) {
      if (thrown instanceof BadJwtSvid) throw new RpcError(rpcCodes.invalidArgument, thrown.message)
      throw thrown
    }
  }

  /** From the first question for them on; what was told last is used while the control plane is gone. */
  #beginKeys(): void {
    if (this.#followsKeys) return
    this.#followsKeys = true
    const follow = async (): Promise<void> => {
      if (this.#isClosed) return
      const channel = await this.#options.channel
      const stream = channel.stream(
        fetchJwtBundles,
        {
          message: bundles => {
            this.#keys = bundles
            this.#changed()
          },
          end: () => {
            this.#cancel = this.#options.clock.after(2000, () => void follow())
          },
        },
        { metadata: workloadHeader },
      )
      this.#cancel = () => stream.cancel()
      stream.send({})
      stream.end()
    }
    void follow()
  }
}

const workloadHeader = { 'workload.spiffe.io': 'true' } as const

/** §4.2 of the specification: a caller that was led astray by somebody else's page does not send it. */
function demandHeader(call: Call): void {
  if (call.metadata['workload.spiffe.io'] !== 'true')
    throw new RpcError(
      rpcCodes.invalidArgument,
      'the metadata workload.spiffe.io: true is missing: use a client of the SPIFFE Workload API',
    )
}
