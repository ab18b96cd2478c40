/** A CORS filter (Gateway API HTTPCORSFilter) as the proxy carries it out. */

import type { Cors } from '#model/route'
import type { HTTPFilter } from '#resources/gateway-api'

/** Nobody is allowed what is not said. */
export function lowerCors(filter: NonNullable<HTTPFilter['cors']>): Cors {
  return {
    origins: (filter.allowOrigins ?? []).map(originOf),
    credentials: filter.allowCredentials ?? false,
    methods: filter.allowMethods ?? [],
    headers: filter.allowHeaders ?? [],
    expose: filter.exposeHeaders ?? [],
    maxAgeS: filter.maxAge,
  }
}

/** The wildcard of a host stands for one label or more, as in `hostnames`; alone, for any host (HTTPCORSFilter.allowOrigins). Browsers write scheme and host in lower case. */
function originOf(text: string): Cors['origins'][number] {
  const origin = text.toLowerCase()
  if (origin === '*' || !origin.includes('*')) return { type: 'exact', value: origin }
  const [scheme = '', rest = ''] = origin.split('://')
  const [host = '', port] = rest.split(':')
  const pattern = host === '*' ? '[^:/]+' : `[^:/]+${escaped(host.slice(1))}`
  return { type: 'regex', value: `${scheme}://${pattern}${port === undefined ? (host === '*' ? '(:[0-9]+)?' : '') : `:${port}`}` }
}

const escaped = (text: string): string => text.replaceAll('.', '\\.')
