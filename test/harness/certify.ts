/** Certificates made by OpenSSL, for tests in which none of the mesh's own code should have made them. */

import { execFileSync } from 'node:child_process'

/** key, cert: files that are written, PEM. names: as subjectAltName has them, `DNS:a.example` and others. by: who signs it; absent: it itself, as an authority where it says nothing else. */
export type Wanted = {
  readonly key: string
  readonly cert: string
  readonly subject?: string
  readonly days?: number
  readonly names?: readonly string[]
  readonly extensions?: readonly string[]
  readonly by?: { readonly key: string; readonly cert: string }
}

/** A fresh key of P-256, and its certificate. Throws with what OpenSSL said. */
export function certify({ key, cert, subject = '/', days = 1, names = [], extensions = [], by }: Wanted): void {
  const all = [...(names.length === 0 ? [] : [`subjectAltName=${names.join()}`]), ...extensions].flatMap(each => ['-addext', each])
  const signer = by === undefined ? [] : ['-CA', by.cert, '-CAkey', by.key]
  const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert]
  execFileSync('openssl', ['req', '-x509', ...made, '-days', String(days), '-subj', subject, ...all, ...signer], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}
