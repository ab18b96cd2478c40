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
import { type Call, type GrpcChannel, RpcError, rpcCodes, serverStream, type Service } from '#io/grpc'
import { type BundlesReply, createCertificate, fetchX509Bundles, fetchX509Svid, type SvidReply } from '#xds/rpcs'
import { adopt, type OwnCertificate } from './certificate/kept.ts'

export type WorkloadApiOptions = {
  readonly identity: SpiffeId
  /** To the control plane, with the proxy's own certificate. */
  readonly channel: Promise<Pick<GrpcChannel, 'unary'>>
  readonly clock: Clock
  readonly log: Log
}

export class WorkloadApi {
  readonly #options: WorkloadApiOptions
  readonly #told = new Set<() => void>()
  #own: OwnCertificate | undefined
  #roots: readonly string[] = []
  #federated: Readonly<Record<string, readonly string[]>> = {}
  #rotation: { readonly stop: () => void } | undefined
  readonly services: readonly Service[]

  constructor(options: WorkloadApiOptions) {
    this.#options = options
    this.services = [
      serverStream(fetchX509Svid, (_request, out, call) => this.#tell(call, () => this.#svid(), out), { open: true }),
      serverStream(fetchX509Bundles, (_request, out, call) => this.#tell(call, () => this.#bundles(), out), { open: true }),
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
  }

  /** Sends what there is as soon as it is there, and again when it changes. */
  #tell<Reply>(call: Call, reply: () => Reply | undefined, out: { send(message: Reply): boolean }): () => void {
    // §4.2 of the specification: a caller that was led astray by somebody else's page does not send it.
    if (call.metadata['workload.spiffe.io'] !== 'true')
      throw new RpcError(
        rpcCodes.invalidArgument,
        'the metadata workload.spiffe.io: true is missing: use a client of the SPIFFE Workload API',
      )
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
}
