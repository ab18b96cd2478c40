/** The certificate authority of the mesh: who may be whom, and the certificates and join tokens that say so. */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { type Certificate, lifeOf } from '#identity/certificate'
import { BadCsr, readCsr } from '#identity/csr'
import { type Issued, issueLeaf } from '#identity/issue'
import { newKey } from '#identity/key'
import { driveRotation } from '#identity/rotation'
import { controlId, isTrustDomain, type SpiffeId } from '#identity/spiffe'
import { type JoinToken, signToken, verifyToken } from '#identity/token'
import { verifyPeer } from '#identity/verify'
import type { Identified, KeyAndChain } from '#io/grpc'
import { openVault } from './authority/vault.ts'

export { certificateService } from './authority/service.ts'

export type TokenRequest = {
  readonly identity: SpiffeId
  /** `host:port` where the workload finds the control plane. */
  readonly xds: string
  /** Default one hour. */
  readonly lifeMs?: number
}

export type AuthorityCertificate = {
  readonly use: 'root' | 'intermediate' | 'control'
  readonly subject: string
  readonly notAfter: string
}

export type Authority = {
  readonly trustDomain: string
  /** PEM: what every proxy is to trust. */
  roots(): readonly string[]
  /** Throws BadCsr when the request is bad or names another identity. lifeMs: cut to what the authority gives; 0 or absent: all of that. */
  issue(csr: string, identity: SpiffeId, lifeMs?: number): Promise<Issued>
  issueToken(request: TokenRequest): Promise<{ readonly token: string; readonly expiresAt: number }>
  /** Throws BadToken. */
  verifyToken(token: string): Promise<JoinToken>
  /** Judges the certificate of a client of the control plane: for `serveGrpc`. */
  identify(certificates: readonly Uint8Array[]): Identified
  /** What the control plane itself shows at its port; the chain ends in the root, so that a client who knows only its hash finds it there. */
  serverCertificate(): KeyAndChain
  certificates(): readonly AuthorityCertificate[]
  close(): void
}

export type AuthorityOptions = {
  /** Keys live here, mode 0600. */
  readonly folder: string
  readonly trustDomain: string
  readonly clock: Clock
  readonly log: Log
  /** Names and addresses by which the control plane is reached, beside localhost. */
  readonly dns?: readonly string[]
  readonly ips?: readonly string[]
  /** How long a workload's certificate is good for, unless it asks for less; 24 h unless said, and never more. */
  readonly leafLifeMs?: number
  /** Called when `serverCertificate` gives a new one: pass it to GrpcServer.setCertificate. */
  readonly onServerCertificate?: () => void
}

const maxLifeMs = 24 * 3_600_000
const tokenLifeMs = 3_600_000

/** Creates root, intermediate and token key at the first start, and loads them later. Throws an Error that says what to do. */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const { trustDomain, clock, log } = options
  if (!isTrustDomain(trustDomain)) throw new Error(`"${trustDomain}" cannot be a trust domain: use a-z, 0-9, dot, dash and underscore`)
  const leafLifeMs = Math.min(options.leafLifeMs ?? maxLifeMs, maxLifeMs)
  const vault = await openVault(options)
  const self = controlId(trustDomain)
  const roots = [vault.root.certificate]

  const makeServer = async (): Promise<{ readonly shown: KeyAndChain; readonly issued: Issued }> => {
    const key = await newKey()
    const names = { dns: ['localhost', ...(options.dns ?? [])], ips: ['127.0.0.1', '::1', ...(options.ips ?? [])] }
    const issued = issueLeaf(await vault.signer(), key.public, self, clock.now(), names)
    return { shown: { key: key.pem, cert: issued.chain.join('') }, issued }
  }
  let server = await makeServer()
  const rotation = driveRotation({
    clock,
    random: Math.random,
    kept: { notBefore: clock.now(), notAfter: server.issued.notAfter },
    ask: async () => {
      server = await makeServer()
      options.onServerCertificate?.()
      return { notBefore: clock.now(), notAfter: server.issued.notAfter }
    },
    failed: thrown => log.error("the control plane's own certificate could not be renewed", { error: thrown }),
    expired: () => log.error("the control plane's own certificate has expired: proxies cannot connect"),
  })

  return {
    trustDomain,
    roots: () => [vault.root.root],
    async issue(csr, identity, lifeMs = 0) {
      const { publicKey, uris } = readCsr(csr)
      if (uris.some(uri => uri !== identity))
        throw new BadCsr(`the certificate request asks for ${uris.join(', ')}, but its sender is ${identity}`)
      return issueLeaf(await vault.signer(), publicKey, identity, clock.now(), {
        lifeMs: lifeMs > 0 ? Math.min(lifeMs, leafLifeMs) : leafLifeMs,
      })
    },
    async issueToken({ identity, xds, lifeMs = tokenLifeMs }) {
      const now = clock.now()
      const expiresAt = Math.floor((now + lifeMs) / 1000) * 1000
      return {
        token: await signToken(vault.tokenKey, { identity, xds, trustDomain, expiresAt, root: vault.root.root }, self, now),
        expiresAt,
      }
    },
    verifyToken: token => verifyToken(token, vault.tokenKey.public, clock.now()),
    identify: certificates =>
      verifyPeer(certificates, { roots, intermediates: vault.intermediates(), trustDomain, role: 'client' }, clock.now()),
    serverCertificate: () => server.shown,
    certificates: () => [
      told('root', vault.root.certificate),
      ...vault.intermediates().map(certificate => told('intermediate', certificate)),
      { use: 'control', subject: self, notAfter: new Date(server.issued.notAfter).toISOString() },
    ],
    close: rotation.stop,
  }
}

function told(use: AuthorityCertificate['use'], certificate: Certificate): AuthorityCertificate {
  return { use, subject: certificate.subject.replaceAll('\n', ', '), notAfter: new Date(lifeOf(certificate).notAfter).toISOString() }
}
