/** Join tokens from a control plane on this machine, which is told by the kernel which process asks: tokens for the audience `weft-join`, by the SPIFFE Workload API. */

import { fileMode } from '#io/files'
import { connectLocal, RpcError, rpcCodes } from '#io/grpc'
import { fetchJwtSvid } from '#xds/rpcs'
import { LateCertificate, NoCertificate } from './certificate.ts'

/** path: of its socket. One for each identity that this process may have. Rejects with LateCertificate where nobody answers yet, else with NoCertificate. */
export async function askJoinTokens(path: string): Promise<readonly { readonly id: string; readonly token: string }[]> {
  const channel = connectLocal(path)
  try {
    const metadata = { 'workload.spiffe.io': 'true' }
    return (await channel.unary(fetchJwtSvid, { audience: ['weft-join'], id: '' }, { metadata, timeoutMs: 5000 })).svids
  } catch (thrown) {
    if (!(thrown instanceof RpcError)) throw thrown
    if (thrown.code === rpcCodes.unavailable && (await fileMode(path)) === undefined)
      throw new LateCertificate(`no such socket: ${path}; does "weft control --attest-socket ${path}" run on this machine?`)
    if (thrown.code === rpcCodes.unavailable)
      throw new LateCertificate(`no control plane answers at the socket ${path} (${thrown.message}): start it with --attest-socket`)
    throw new NoCertificate(`the control plane at ${path} does not let this process join: ${thrown.message}`)
  } finally {
    channel.close()
  }
}
