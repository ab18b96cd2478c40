/** The rpc by which workloads get certificates: the first with a join token, later ones with the certificate they have. */

import type { Log } from '#base/log'
import { BadCsr, csrKeySha256 } from '#identity/csr'
import { BadRejoin } from '#identity/rejoin'
import { controlId, isSpiffeId, type SpiffeId } from '#identity/spiffe'
import { BadToken } from '#identity/token'
import { type Call, RpcError, rpcCodes, type Service, unary } from '#io/grpc'
import { createCertificate } from '#xds/rpcs'
import type { Authority } from './authority.ts'
import type { AttestedCertificates } from './attested-certificates.ts'
import type { JoinTokens, JoinTokenUse } from './join-tokens.ts'
import { NobodyKnown } from './registrations.ts'
import { RevokedError } from './withdrawn.ts'
import { IssuerDown } from './authority/issuer.ts'

export type Joins = {
  readonly tokens: JoinTokens
  /** For the record: a token brought somebody in, by a key that had not asked before. */
  readonly onUse: (identity: SpiffeId, from: string) => void
  /** Absent: certificates of others are no proof. */
  readonly certificates?: Pick<AttestedCertificates, 'identify'> | undefined
}

/** Open to callers without a certificate; the token is then their proof. joins: absent: a token that is signed may be used until it expires. */
export function certificateService(authority: Authority, log: Log, joins?: Joins): Service {
  return unary(
    createCertificate,
    async ({ csr, validitySeconds }, call) => {
      let use: JoinTokenUse | undefined
      try {
        const asker = await whoAsks(authority, call, csr, joins)
        const { identity, proof } = asker
        if (identity === controlId(authority.trustDomain))
          throw new RpcError(rpcCodes.permissionDenied, `${identity} is the control plane itself: nobody else gets its certificate here`)
        if (asker.token !== undefined) use = joins?.tokens.use(asker.token, csrKeySha256(csr), call.address)
        const { chain, serial, notAfter } = await authority.issue(csr, identity, validitySeconds * 1000)
        const selector = use?.selector ?? (asker.serial === undefined ? undefined : joins?.tokens.boundTo(asker.serial))
        if (selector !== undefined) joins?.tokens.bind(serial, selector, notAfter + boundMs)
        if (use?.isAgain === false) joins?.onUse(identity, call.address)
        log.info('issued a certificate', {
          identity,
          serial,
          until: new Date(notAfter).toISOString(),
          proof,
        })
        return { chain }
      } catch (thrown) {
        use?.takeBack()
        const refusal = asRefusal(thrown)
        if (refusal) log.warn('a certificate is refused', { from: call.address, reason: refusal.message })
        throw refusal ?? thrown
      }
    },
    { open: true },
  )
}

/** For how long after its end a certificate is known to be bound to labels: it may bring its workload back. */
const boundMs = 366 * 24 * 3_600_000

/** token: with which it came. serial: of the certificate that it had. */
type Asker = {
  readonly identity: SpiffeId
  readonly proof: 'certificate' | 'token' | 'expired certificate' | 'certificate of others'
  readonly token?: string
  readonly serial?: string
}

/** A token, where there is one, says who asks; otherwise the caller renews and stays who it is, also where it slept too long. */
async function whoAsks(authority: Authority, call: Call, csr: string, joins: Joins | undefined): Promise<Asker> {
  const [, scheme, proof] = /^(bearer|weft-rejoin|weft-attest) (.+)$/i.exec(call.metadata['authorization'] ?? '') ?? []
  if (proof !== undefined && scheme?.toLowerCase() === 'bearer')
    return { identity: (await authority.verifyToken(proof)).identity, proof: 'token', token: proof }
  if (proof !== undefined && scheme?.toLowerCase() === 'weft-attest') {
    if (joins?.certificates === undefined)
      throw new RpcError(
        rpcCodes.unauthenticated,
        'this control plane takes no certificates of others as attestation: start it with --attest-roots',
      )
    return { identity: await joins.certificates.identify(proof, csr), proof: 'certificate of others' }
  }
  if (proof !== undefined) {
    const { identity, serial } = await authority.verifyRejoin(proof, csr)
    return { identity, serial, proof: 'expired certificate' }
  }
  if (call.peer !== undefined && isSpiffeId(call.peer))
    return { identity: call.peer, proof: 'certificate', ...(call.certificate === undefined ? {} : { serial: call.certificate.serial }) }
  throw new RpcError(
    rpcCodes.unauthenticated,
    'a certificate is given for a join token (make one with: weft token create) or to renew a valid certificate; this call showed neither',
  )
}

function asRefusal(thrown: unknown): RpcError | undefined {
  if (thrown instanceof RpcError) return thrown
  if (thrown instanceof RevokedError) return new RpcError(rpcCodes.permissionDenied, thrown.message)
  if (thrown instanceof IssuerDown) return new RpcError(rpcCodes.unavailable, thrown.message)
  if (thrown instanceof BadToken || thrown instanceof BadRejoin) return new RpcError(rpcCodes.unauthenticated, thrown.message)
  if (thrown instanceof NobodyKnown) return new RpcError(rpcCodes.permissionDenied, thrown.message)
  return thrown instanceof BadCsr ? new RpcError(rpcCodes.invalidArgument, thrown.message) : undefined
}
