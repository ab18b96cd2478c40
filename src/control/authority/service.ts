/** The rpc by which workloads get certificates: the first with a join token, later ones with the certificate they have. */

import type { Log } from '#base/log'
import { BadCsr } from '#identity/csr'
import { BadRejoin } from '#identity/rejoin'
import { isSpiffeId, type SpiffeId } from '#identity/spiffe'
import { BadToken } from '#identity/token'
import { type Call, RpcError, rpcCodes, type Service, unary } from '#io/grpc'
import { createCertificate } from '#xds/rpcs'
import type { Authority } from '../authority.ts'
import { IssuerDown } from './issuer.ts'

/** Open to callers without a certificate; the token is then their proof. */
export function certificateService(authority: Authority, log: Log): Service {
  return unary(
    createCertificate,
    async ({ csr, validitySeconds }, call) => {
      try {
        const { identity, proof } = await whoAsks(authority, call, csr)
        const { chain, serial, notAfter } = await authority.issue(csr, identity, validitySeconds * 1000)
        log.info('issued a certificate', {
          identity,
          serial,
          until: new Date(notAfter).toISOString(),
          proof,
        })
        return { chain }
      } catch (thrown) {
        const refusal = asRefusal(thrown)
        if (refusal) log.warn('a certificate is refused', { from: call.address, reason: refusal.message })
        throw refusal ?? thrown
      }
    },
    { open: true },
  )
}

type Asker = { readonly identity: SpiffeId; readonly proof: 'certificate' | 'token' | 'expired certificate' }

/** A token, where there is one, says who asks; otherwise the caller renews and stays who it is, also where it slept too long. */
async function whoAsks(authority: Authority, call: Call, csr: string): Promise<Asker> {
  const [, scheme, proof] = /^(bearer|weft-rejoin) (.+)$/i.exec(call.metadata['authorization'] ?? '') ?? []
  if (proof !== undefined && scheme?.toLowerCase() === 'bearer')
    return { identity: (await authority.verifyToken(proof)).identity, proof: 'token' }
  if (proof !== undefined) return { identity: (await authority.verifyRejoin(proof, csr)).identity, proof: 'expired certificate' }
  if (call.peer !== undefined && isSpiffeId(call.peer)) return { identity: call.peer, proof: 'certificate' }
  throw new RpcError(
    rpcCodes.unauthenticated,
    'a certificate is given for a join token (make one with: weft token create) or to renew a valid certificate; this call showed neither',
  )
}

function asRefusal(thrown: unknown): RpcError | undefined {
  if (thrown instanceof RpcError) return thrown
  if (thrown instanceof IssuerDown) return new RpcError(rpcCodes.unavailable, thrown.message)
  if (thrown instanceof BadToken || thrown instanceof BadRejoin) return new RpcError(rpcCodes.unauthenticated, thrown.message)
  return thrown instanceof BadCsr ? new RpcError(rpcCodes.invalidArgument, thrown.message) : undefined
}
