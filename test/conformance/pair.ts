/** Two proxies with mutual TLS between them, from files, as the end-to-end tests have them: for clients and servers of others. */

import { certificateFolder, startPair } from '../harness/file-proxy.ts'

export type Pair = AsyncDisposable & { readonly port: number }

/** What connects to `port` reaches `to` through both. */
export async function pairTo(to: number, protocol: 'http' | 'tcp' = 'http'): Promise<Pair> {
  const certs = await certificateFolder()
  try {
    const pair = await startPair(to, certs.path, protocol)
    return {
      port: pair.port,
      async [Symbol.asyncDispose]() {
        await pair[Symbol.asyncDispose]()
        certs[Symbol.dispose]()
      },
    }
  } catch (thrown) {
    certs[Symbol.dispose]()
    throw thrown
  }
}
