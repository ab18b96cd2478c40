/** Asks the operator API as somebody: plain requests whose answers are looked at, Status objects and all. */

import http from 'node:http'
import https from 'node:https'

export type Answer = { readonly status: number; readonly headers: http.IncomingHttpHeaders; readonly text: string }
export type Asking = {
  readonly method?: string
  readonly token?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly tls?: https.RequestOptions
}

/** fetch would set Host, Origin and Sec-Fetch-Site by itself; this sends what it is told. */
export function ask(url: string, { method = 'GET', token, headers = {}, body, tls = {} }: Asking = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const send = url.startsWith('https:') ? https.request : http.request
    const request = send(
      url,
      {
        ...tls,
        method,
        agent: false,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...headers,
        },
      },
      reply => {
        let text = ''
        reply.setEncoding('utf8').on('data', chunk => (text += chunk))
        reply.on('end', () => resolve({ status: reply.statusCode!, headers: reply.headers, text }))
        reply.on('error', reject)
      },
    )
    request.once('error', reject)
    request.end(body)
  })
}

export type Status = { readonly kind: string; readonly reason: string; readonly message: string; readonly code: number }
export const statusIn = ({ text }: Answer): Status => JSON.parse(text) as Status
