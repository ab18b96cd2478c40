/** One request to a server that is no part of the mesh, such as a certificate authority. */

import http from 'node:http'
import https from 'node:https'
import type { PeerCertificate } from 'node:tls'

/** body: as UTF-8. type: its Content-Type; empty where it says none. */
export type Reply = { readonly status: number; readonly body: string; readonly bytes: Uint8Array; readonly type: string }

export type HttpQuestion = {
  readonly url: string
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** PEM roots by which the server is known; absent: those of this machine. */
  readonly ca?: string | undefined
  /** Why the server's leaf (DER), which leads to a root, is not the one expected. Absent: its names must fit the host. */
  readonly expectedServer?: ((leaf: Uint8Array) => string | undefined) | undefined
  readonly timeoutMs: number
}

const asError = (reason: string | undefined): Error | undefined => (reason === undefined ? undefined : new Error(reason))

const mostBytes = 4 * 1024 * 1024

/** Rejects with one sentence when there is no answer; any status is one. Redirects are not followed. */
export function askHttp({ url, method = 'GET', headers = {}, body, ca, expectedServer, timeoutMs }: HttpQuestion): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const failed = (reason: string): void => reject(new Error(`${new URL(url).origin} does not answer: ${reason}`))
    const send = url.startsWith('https:') ? https.request : http.request
    const request = send(
      url,
      {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
        agent: false,
        ...(ca === undefined ? {} : { ca }),
        // OpenSSL has verified the chain when this is called.
        ...(expectedServer === undefined
          ? {}
          : { checkServerIdentity: (_host: string, { raw }: PeerCertificate) => asError(expectedServer(raw)) }),
      },
      response => {
        const parts: Buffer[] = []
        let bytes = 0
        response.on('data', (part: Buffer) => {
          bytes += part.length
          if (bytes > mostBytes) request.destroy(new Error(`its answer is larger than ${mostBytes} bytes`))
          else parts.push(part)
        })
        response.once('error', thrown => failed(thrown.message))
        response.once('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(parts).toString('utf8'),
            bytes: Buffer.concat(parts),
            type: response.headers['content-type'] ?? '',
          }),
        )
      },
    )
    const timer = setTimeout(() => request.destroy(new Error(`not within ${timeoutMs / 1000} s`)), timeoutMs)
    request.once('close', () => clearTimeout(timer))
    request.once('error', thrown => failed(thrown.message || (thrown as NodeJS.ErrnoException).code || 'it cannot be reached'))
    request.end(body)
  })
}
