/** `fetch` with roots and a client certificate of its own: what the fetch of Node has no way to be told. */

import http from 'node:http'
import https from 'node:https'
import { Readable } from 'node:stream'

/** PEM. ca: roots in place of those of this machine. certificate: shown when the server asks for one. */
export type FetchTls = {
  readonly ca?: string | undefined
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined
}

/** Connections are kept between requests and do not keep the process alive. Redirects are not followed. Rejects with a TypeError whose cause says why, as fetch does. */
export function fetchWith({ ca, certificate }: FetchTls): typeof fetch {
  const kept = { keepAlive: true, timeout: 30_000 }
  const plain = new http.Agent(kept)
  const secure = new https.Agent({ ...kept, minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }), ...certificate })
  return (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const { method = 'GET', body, signal } = init
    const headers = new Headers(init.headers)
    const bytes = bytesOf(body)
    if (bytes !== undefined) headers.set('content-length', String(bytes.length))
    return new Promise<Response>((resolve, reject) => {
      const send = url.protocol === 'https:' ? https.request : http.request
      const request = send(
        url,
        {
          method,
          headers: Object.fromEntries(headers),
          agent: url.protocol === 'https:' ? secure : plain,
          ...(signal ? { signal } : {}),
        },
        reply => {
          const status = reply.statusCode ?? 0
          const shown = new Headers()
          for (let at = 0; at < reply.rawHeaders.length; at += 2) shown.append(reply.rawHeaders[at]!, reply.rawHeaders[at + 1]!)
          const hasBody = status !== 204 && status !== 304 && method !== 'HEAD'
          if (!hasBody) reply.resume()
          const answer = new Response(hasBody ? (Readable.toWeb(reply) as unknown as ReadableStream<Uint8Array>) : null, {
            status,
            headers: shown,
          })
          Object.defineProperty(answer, 'url', { value: url.href })
          resolve(answer)
        },
      )
      request.once('error', cause =>
        reject(cause.name === 'AbortError' ? (signal?.reason ?? cause) : new TypeError('fetch failed', { cause })),
      )
      request.end(bytes)
    })
  }
}

function bytesOf(body: RequestInit['body']): Uint8Array | undefined {
  if (body === undefined || body === null) return undefined
  if (typeof body === 'string') return Buffer.from(body)
  throw new TypeError('only text can be sent')
}
