/** What an authorization service may not touch: the headers by which messages are framed, hops are ruled and callers are known. */

/** RE2 syntax, of a whole name in lower case. */
export const untouchable =
  'host|connection|keep-alive|proxy-connection|proxy-authenticate|proxy-authorization|transfer-encoding|te|trailer|upgrade|http2-settings|content-length|expect|x-forwarded-client-cert|x-weft-.*'

const pattern = new RegExp(`^(?:${untouchable})$`)

/** name: in lower case. */
export const isUntouchable = (name: string): boolean => name.startsWith(':') || pattern.test(name)
