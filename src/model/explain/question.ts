/** What is asked of an explanation, and what is known of the proxies that it is about. */

import type { RequestFacts } from '../match.ts'
import type { View } from '../view.ts'

/** name: as the program calls it, or an address; at a Gateway the host. port: absent: the only one there is, else 80. serverName: of TLS; at a Gateway absent: the host. isSecure: by TLS, at a Gateway. */
export type Question = {
  readonly name: string
  readonly port?: number
  readonly transport?: 'tcp' | 'udp'
  readonly serverName?: string
  readonly isSecure?: true
  readonly request: RequestFacts
}

/** A proxy as the control plane knows it. */
export type Known = { readonly view: View; readonly identity: string }

/** away: its proxy is not connected. unasked: nobody looked. */
export type KnownOf = (workload: string) => Known | 'away' | 'unasked'
