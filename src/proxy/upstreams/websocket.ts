/** The two fields of a WebSocket handshake that HTTP/1 has and HTTP/2 (RFC 8441) does not: made where the one becomes the other. */

import { sha1Base64 } from '#io/digest'
import { type Fields, field, withField } from '#wire/http1'

/** RFC 6455 §1.3. */
const magic = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

export const acceptOf = (key: string): string => sha1Base64(key + magic)

/** An HTTP/1 server wants a key; a caller of HTTP/2 sent none. */
export function withKey(fields: Fields): Fields {
  if (field(fields, 'sec-websocket-key') !== undefined) return fields
  return withField(fields, 'Sec-WebSocket-Key', btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16)))))
}
