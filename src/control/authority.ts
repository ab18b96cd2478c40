/** The certificate authority of the mesh: who may be whom, and the certificates and join tokens that say so. */

import type { Clock } from '#base/clock'
import type { Log } from '#base/log'
import { type Certificate, lifeOf } from '#identity/certificate'
import { BadCsr, makeCsr, readCsr } from '#identity/csr'
import type { Issued } from '#identity/issue'
import { newKey } from '#identity/key'
import { type Rejoining, verifyRejoin } from '#identity/rejoin'
import { driveRotation } from '#identity/rotation'
import { controlId, isTrustDomain, type SpiffeId } from '#identity/spiffe'
import { type JoinToken, signToken, verifyToken } from '#identity/token'
import { verifyPeer } from '#identity/verify'
import { makeFolder } from '#io/files'
import type { Crl } from '#identity/crl'
import type { Identified, KeyAndChain } from '#io/grpc'
import type { Issuer } from './authority/issuer.ts'
import { openOwn } from './authority/own.ts'
import type { RootRotation } from './authority/rotation.ts'
import { openIdTemplate } from './authority/id-template.ts'
import { Lists } from './authority/lists.ts'
import { openTokenKey } from './authority/token-key.ts'
import type { Withdrawn } from './withdrawn.ts'

export { openIssuedBook } from './authority/issued.ts'
export { openIssuer } from './authority/open.ts'
export { type RootRotation, type RotationState, stages } from './authority/rotation.ts'

export type TokenRequest = {
  readonly identity: SpiffeId
  /** `host:port` where the workload finds the control plane. */
  readonly xds: string
  /** Default one hour. */
  readonly lifeMs?: number
}

/** notAfter: RFC 3339. */
export type AuthorityCertificate = {
  readonly use: 'root' | 'intermediate' | 'control'
  readonly subject: string
  readonly notAfter: string
}

export type Authority = {
  readonly trustDomain: string
  /** Of the ids of its workloads. */
  readonly idTemplate: string
  /** What stands behind it. */
  readonly issuer: Issuer['type']
  /** How long a workload's certificate is good for at most. */
  readonly leafLifeMs: number
  /** PEM: what every proxy is to trust; what new certificates lead to is the first. */
  roots(): readonly string[]
  /** Throws BadCsr when the request is bad or names another identity, RevokedError. lifeMs: cut to what the authority gives; 0 or absent: all of that. */
  issue(csr: string, identity: SpiffeId, lifeMs?: number): Promise<Issued>
  issueToken(request: TokenRequest): Promise<{ readonly token: string; readonly expiresAt: number }>
  /** Throws BadToken. */
  verifyToken(token: string): Promise<JoinToken>
  /** Who asks with a certificate that has expired, and proves to have its key. Throws BadRejoin. */
  verifyRejoin(proof: string, csr: string): Promise<Rejoining>
  /** Judges the certificate of a client of the control plane: for `serveGrpc`. */
  identify(certificates: readonly Uint8Array[]): Identified
  /** What the control plane itself shows at its port; the chain ends in the root, so that a client who knows only its hash finds it there. */
  serverCertificate(): KeyAndChain
  certificates(): readonly AuthorityCertificate[]
  /** PEM: the revocation lists of all who sign. needed: none while nobody has to look at them. whole: there is one of each authority of a chain. */
  lists(): {
    readonly pem: readonly string[]
    readonly isNeeded: boolean
    readonly areWhole: boolean
    readonly told: readonly (Crl & { readonly by: string })[]
  }
  /** Absent where the roots are not the mesh's own. */
  readonly rotation?: RootRotation
  close(): void
}

export type AuthorityOptions = {
  /** Keys live here, mode 0600. */
  readonly folder: string
  readonly trustDomain: string
  /** Of the ids of workloads; absent: that of the mesh so far, or the default. */
  readonly idTemplate?: string | undefined
  readonly clock: Clock
  readonly log: Log
  /** Names and addresses by which the control plane is reached, beside localhost. */
  readonly dns?: readonly string[]
  readonly ips?: readonly string[]
  /** How long a workload's certificate is good for, unless it asks for less; 24 h unless said, and never more. */
  readonly leafLifeMs?: number
  /** For how long after its end a certificate still proves who asks for the next; 30 days unless said, 0: not at all. */
  readonly rejoinMs?: number
  /** Keys are kept encrypted by it. */
  readonly passphrase?: string
  /** What signs; absent: keys of the mesh's own, in the folder. onChange: its roots are others now. */
  readonly issuer?: (onChange: () => void) => Promise<Issuer>
  /** Called when `serverCertificate` gives a new one: pass it to GrpcServer.setCertificate. */
  readonly onServerCertificate?: () => void
  /** Called when `roots` or `lists` gives others. */
  readonly onRoots?: () => void
  /** Who is revoked; absent: nobody ever. */
  readonly withdrawn?: Withdrawn
}

const dayMs = 24 * 3_600_000
const maxLifeMs = dayMs
const tokenLifeMs = 3_600_000

/** Creates root, intermediate and token key at the first start, and loads them later. Throws an Error that says what to do. */
export async function openAuthority(options: AuthorityOptions): Promise<Authority> {
  const { folder, trustDomain, clock, log, passphrase, rejoinMs = 30 * dayMs } = options
  if (!isTrustDomain(trustDomain)) throw new Error(`"${trustDomain}" cannot be a trust domain: use a-z, 0-9, dot, dash and underscore`)
  const leafLifeMs = Math.min(options.leafLifeMs ?? maxLifeMs, maxLifeMs)
  const keeping = { folder: await makeFolder(folder, 0o700), passphrase, log }
  const idTemplate = await openIdTemplate(keeping.folder, options.idTemplate)
  let onChange = (): void => {}
  const issuer = await (options.issuer ?? (changed => openOwn({ ...keeping, trustDomain, clock, onChange: changed })))(() => onChange())
  const tokenKey = await openTokenKey(keeping)
  const self = controlId(trustDomain)
  const roots = (): readonly string[] => issuer.roots().map(root => root.toString())
  const { withdrawn } = options
  const lists = new Lists({ issuer, entries: () => withdrawn?.entries ?? [], clock, onChange: () => options.onRoots?.() })
  withdrawn?.onChange(() => {
    lists.renew()
    options.onRoots?.()
  })
  const known = new WeakMap<readonly string[], readonly (Crl & { readonly by: string })[]>()
  const toldLists = () => {
    const pem = lists.current()
    let found = known.get(pem)
    if (found === undefined) known.set(pem, (found = lists.told().map(crl => ({ ...crl, by: signerOf(crl, issuer) }))))
    return found
  }
  const signingRoot = (): string | undefined => issuer.rotation?.state().root.fingerprint256
  /** Also of what was signed before the last start. */
  const rotationOf = (rotation: RootRotation): RootRotation => ({
    ...rotation,
    isCurrent(serial) {
      const isKnown = rotation.isCurrent(serial)
      if (isKnown !== undefined) return isKnown
      const root = withdrawn?.rootOf(serial)
      return root === undefined ? undefined : root === signingRoot()
    },
  })
  const judging = () => ({ roots: issuer.roots(), intermediates: issuer.intermediates(), trustDomain, role: 'client' as const })

  const makeServer = async (): Promise<{ readonly shown: KeyAndChain; readonly issued: Pick<Issued, 'notAfter'> }> => {
    const given = issuer.server?.()
    if (given !== undefined) return { shown: { key: given.key, cert: given.cert + issuer.anchor().toString() }, issued: given }
    const key = await newKey()
    const names = { dns: ['localhost', ...(options.dns ?? [])], ips: ['127.0.0.1', '::1', ...(options.ips ?? [])] }
    const csr = makeCsr(key, self, names)
    const issued = await issuer.sign({ csr, publicKey: key.public, identity: self, lifeMs: maxLifeMs, ...names })
    return { shown: { key: key.pem, cert: [...issued.chain, issuer.anchor().toString()].join('') }, issued }
  }
  let server = await makeServer()
  const renewServer = async () => {
    server = await makeServer()
    options.onServerCertificate?.()
    return { notBefore: clock.now(), notAfter: server.issued.notAfter }
  }
  let toldAt = Number.NEGATIVE_INFINITY
  const cannotRenew = (thrown: unknown): void => {
    // Tried every second or two once it has expired.
    if (clock.now() - toldAt < 30_000) return
    toldAt = clock.now()
    log.error("the control plane's own certificate could not be renewed", { error: thrown })
  }
  const rotation = driveRotation({
    clock,
    random: Math.random,
    kept: { notBefore: clock.now(), notAfter: server.issued.notAfter },
    ask: renewServer,
    failed: cannotRenew,
    expired: () => log.error("the control plane's own certificate has expired: proxies cannot connect"),
  })
  // Others are trusted now: the port has to know, and to show what leads to one of them.
  onChange = () => {
    lists.renew()
    options.onRoots?.()
    renewServer().catch(cannotRenew)
  }

  return {
    trustDomain,
    idTemplate,
    issuer: issuer.type,
    leafLifeMs,
    roots,
    async issue(csr, identity, lifeMs = 0) {
      const { publicKey, uris } = readCsr(csr)
      if (uris.some(uri => uri !== identity))
        throw new BadCsr(`the certificate request asks for ${uris.join(', ')}, but its sender is ${identity}`)
      if (identity === self) throw new BadCsr(`${identity} is the control plane itself: nobody else gets its certificate`)
      withdrawn?.admit(identity)
      const life = lifeMs > 0 ? Math.min(lifeMs, leafLifeMs) : leafLifeMs
      const root = signingRoot()
      const issued = await issuer.sign({ csr, publicKey, identity, lifeMs: life })
      // Of one that was signed while the root changed it is not known.
      const by = root !== undefined && root === signingRoot() ? { root } : {}
      withdrawn?.issued({ serial: issued.serial, identity, notAfter: issued.notAfter, ...by })
      return { ...issued, chain: [...issued.chain, ...roots()] }
    },
    async issueToken({ identity, xds, lifeMs = tokenLifeMs }) {
      withdrawn?.admit(identity)
      const now = clock.now()
      const expiresAt = Math.floor((now + lifeMs) / 1000) * 1000
      const root = issuer.anchor().toString()
      return { token: await signToken(tokenKey, { identity, xds, trustDomain, idTemplate, expiresAt, root }, self, now), expiresAt }
    },
    verifyToken: token => verifyToken(token, tokenKey.public, clock.now()),
    async verifyRejoin(proof, csr) {
      const found = await verifyRejoin(proof, csr, judging(), rejoinMs, clock.now())
      withdrawn?.admit(found.identity, found.serial)
      return found
    },
    identify(certificates) {
      const judged = verifyPeer(certificates, judging(), clock.now())
      const why = 'refused' in judged ? undefined : withdrawn?.why(judged.peer, judged.serial)
      return why === undefined ? judged : { refused: why }
    },
    lists: () => ({ pem: lists.current(), isNeeded: !lists.isEmpty, areWhole: lists.areWhole, told: toldLists() }),
    serverCertificate: () => server.shown,
    certificates: () => [
      ...issuer.roots().map(root => told('root', root)),
      ...living(trusted(issuer), clock.now()).map(certificate => told('intermediate', certificate)),
      { use: 'control', subject: self, notAfter: new Date(server.issued.notAfter).toISOString() },
    ],
    ...(issuer.rotation === undefined ? {} : { rotation: rotationOf(issuer.rotation) }),
    close: () => {
      rotation.stop()
      lists.close()
      issuer.close()
    },
  }
}

/** Its name, for people. */
function signerOf(crl: Crl, issuer: Issuer): string {
  const by = [...issuer.intermediates(), ...issuer.roots()].find(crl.isSignedBy)
  return by === undefined ? 'an authority that is not known any more' : by.subject.replaceAll('\n', ', ')
}

function told(use: AuthorityCertificate['use'], certificate: Certificate): AuthorityCertificate {
  const notAfter = new Date(lifeOf(certificate).notAfter).toISOString()
  return { use, subject: certificate.subject.replaceAll('\n', ', '), notAfter }
}

/** Those that lead to a root, by themselves or through each other: after a root was retired its own sign revocation lists for a while, and nothing else. */
function trusted(issuer: Issuer): readonly Certificate[] {
  const all = issuer.intermediates()
  const good = new Set<Certificate>()
  const isBy = (one: Certificate, by: Certificate): boolean => one.checkIssued(by) && one.verify(by.publicKey)
  for (let before = -1; before < good.size; ) {
    before = good.size
    for (const each of all) if (!good.has(each) && [...issuer.roots(), ...good].some(by => isBy(each, by))) good.add(each)
  }
  return good.size > 0 ? all.filter(each => good.has(each)) : all
}

/** Those that were replaced in time are of no interest once they have ended; that the last one has ended is. */
function living(certificates: readonly Certificate[], now: number): readonly Certificate[] {
  const good = certificates.filter(each => lifeOf(each).notAfter > now)
  return good.length > 0 ? good : certificates.slice(-1)
}
