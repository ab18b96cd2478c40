/** The static table of RFC 7541 Appendix A. */

import { Entry } from './entry.ts'

const fields =
  ':authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|:status=204|:status=206|:status=304|' +
  ':status=400|:status=404|:status=500|accept-charset|accept-encoding=gzip, deflate|accept-language|accept-ranges|accept|' +
  'access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|content-language|content-length|' +
  'content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|' +
  'if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|' +
  'server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate'

/** At place 0 stands nothing: indexes begin with 1. */
export const staticTable: readonly Entry[] = [
  new Entry('', ''),
  ...fields.split('|').map(text => {
    const equals = text.indexOf('=')
    return equals < 0 ? new Entry(text, '') : new Entry(text.slice(0, equals), text.slice(equals + 1))
  }),
]

export const staticCount = staticTable.length - 1

/** The index of the first entry of that name; 0: there is none. */
export const staticIndexOf = (name: string): number => firstOfName.get(name) ?? 0

const firstOfName = new Map<string, number>()
for (let index = staticCount; index > 0; index--) firstOfName.set(staticTable[index]!.name, index)
