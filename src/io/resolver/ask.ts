/** What it is to ask a DNS server outside the mesh. */

import type { Question } from '#wire/dns'

/** The reply of the first server that has one, checked to be the answer to this question; undefined when none answers. Never rejects. */
export type AskOutside = (question: Question, wantsDnssec?: boolean) => Promise<Uint8Array | undefined>
