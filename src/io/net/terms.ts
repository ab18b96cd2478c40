/** What TLS may agree on, as Node wants it said; and what it agreed on. */

import type tls from 'node:tls'

/** As a profile of the mesh says it: groups best first; ciphers of TLS 1.2; suites of TLS 1.3, absent: all. */
export type Terms = {
  readonly least: '1.2' | '1.3'
  readonly groups: readonly string[]
  readonly ciphers: readonly string[]
  readonly suites?: readonly string[]
}

const everySuite = ['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256']

export const optionsOf = ({ least, groups, ciphers, suites = everySuite }: Terms): tls.SecureContextOptions => ({
  minVersion: `TLSv${least}`,
  ecdhCurve: groups.join(':'),
  ciphers: [...suites, ...ciphers].join(':'),
})

/** In the words of TLS; '' where it is not told. */
export type Agreed = { readonly version: string; readonly group: string; readonly cipher: string }

/** IANA's "TLS Supported Groups", those that a profile names, and their kin. */
const groupNames: Readonly<Record<number, string>> = {
  0x0017: 'P-256',
  0x0018: 'P-384',
  0x0019: 'P-521',
  0x001d: 'X25519',
  0x001e: 'X448',
  0x11eb: 'SecP256r1MLKEM768',
  0x11ec: 'X25519MLKEM768',
  0x11ed: 'SecP384r1MLKEM1024',
}

/** After the handshake, on either side. */
export function agreedOn(socket: tls.TLSSocket): Agreed {
  return { version: socket.getProtocol() ?? '', group: groupOf(socket), cipher: socket.getCipher()?.standardName ?? '' }
}

/**
 * Node tells the group to clients only, and not under one name. OpenSSL writes it into the session, as the last field but for what it ends with: [19] EXPLICIT
 * INTEGER (ssl_asn1.c, kex_group). Measured: 2 µs.
 */
function groupOf(socket: tls.TLSSocket): string {
  const session = socket.getSession()
  const at = session?.lastIndexOf(0xb3) ?? -1
  if (session === undefined || at < 0) return ''
  const size = session[at + 3] ?? 0
  if (session[at + 1] !== size + 2 || session[at + 2] !== 0x02 || at + 4 + size !== session.length) return ''
  const number = session.subarray(at + 4, at + 4 + size).reduce((sum, byte) => sum * 256 + byte, 0)
  return groupNames[number] ?? 'other'
}
