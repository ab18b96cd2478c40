/** Keeps web pages of other origins away from an API that trusts whoever can reach it: DNS rebinding and cross-site writes. */

export type Arrival = {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly boundTo: string
  readonly allowedHosts: readonly string[]
  readonly allowedOrigins: readonly string[]
}

/** Why the request is refused, or undefined. Programs that are no browsers send neither Origin nor Sec-Fetch-Site and pass. */
export function judgeOrigin({ method, headers, boundTo, allowedHosts, allowedOrigins }: Arrival): string | undefined {
  const host = hostOf(headers['host'] ?? '')
  // A page of evil.example whose name was pointed at 127.0.0.1 still says `Host: evil.example`.
  if (isLoopback(boundTo) && !isLoopback(host) && !allowedHosts.includes(host))
    return `the Host header names "${host}", and this server is for this machine: call it as 127.0.0.1 or localhost, or start it with that host allowed`
  if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') return undefined
  const origin = headers['origin']
  // Without cookies: it has to prove by a token who it is.
  if (origin !== undefined && allowedOrigins.includes(origin)) {
    return headers['authorization'] === undefined
      ? `a page of ${origin} may write here with a token only: send "Authorization: Bearer …"`
      : undefined
  }
  if (origin !== undefined && authorityOf(origin) !== headers['host'])
    return `a page of ${origin} tried to write here: only pages that this server served itself may`
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    return `a ${site} page tried to write here: only pages that this server served itself may`
  return undefined
}

/** Without port and brackets. */
export function hostOf(authority: string): string {
  const bracketed = /^\[([^\]]+)\]/.exec(authority)
  return (bracketed?.[1] ?? authority.replace(/:\d*$/, '')).toLowerCase()
}

function authorityOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

/** By its name alone: nobody is asked. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
