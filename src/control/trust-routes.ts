/** /weft/v1: what others need to judge certificates of this mesh by: its revocation lists, and its roots and keys as SPIFFE has them. */

import type { ExtraRoute } from './api.ts'
import type { Authority } from './authority.ts'
import type { OwnBundle } from './bundle-endpoint.ts'
import { derOf } from '#identity/certificate'

export function trustRoutes(authority: Authority, bundle: OwnBundle): ExtraRoute[] {
  return [
    {
      method: 'GET',
      path: '/weft/v1/spiffe-bundle',
      handle: () => ({ status: 200, headers: { 'content-type': 'application/json' }, body: bundle.text() }),
    },
    {
      method: 'GET',
      path: '/weft/v1/crl',
      handle: () => ({ status: 200, headers: { 'content-type': 'application/x-pem-file' }, body: authority.lists().pem.join('') }),
    },
    {
      // RFC 2585 §4.1: one list in DER, that of whoever signs workloads now.
      method: 'GET',
      path: '/weft/v1/crl.der',
      handle: () => {
        const [first] = authority.lists().pem
        if (first === undefined)
          return { status: 404, headers: { 'content-type': 'text/plain' }, body: 'the authority of this mesh has no revocation list\n' }
        return { status: 200, headers: { 'content-type': 'application/pkix-crl' }, body: derOf(first) }
      },
    },
  ]
}
