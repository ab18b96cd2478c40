/** Whom a proxy believes to be who they say, and whom no more. */

import type { IdTemplates } from '#base/id-template'
import type { TextMatch } from './access-rule.ts'

/**
 * Whom the proxy believes to be who they say. domain: '' where a file says it: any. roots: PEM. federated: those of other trust domains, by domain, each
 * believed for identities of its own only. idTemplates: of those domains where ids have another form than the default.
 */
export type Trust = {
  readonly domain: string
  readonly roots: readonly string[]
  readonly federated?: Readonly<Record<string, readonly string[]>>
  readonly idTemplates?: IdTemplates
} & Withdrawn

/**
 * Whom it believes no more. crls: PEM, of whichever authority. areWhole: there is one of every authority that a chain of this mesh may have, up to the root,
 * as Envoy demands before it reads any. revoked: by word of operators.
 */
export type Withdrawn = { readonly crls?: readonly string[]; readonly areWhole?: true; readonly revoked?: readonly Revoked[] }

/** by: name of the Revocation. serial: of a certificate, lower-case hex. */
export type Revoked = { readonly by: string; readonly reason: string } & ({ readonly identity: TextMatch } | { readonly serial: string })

export const allRoots = ({ roots, federated }: Trust): readonly string[] =>
  federated === undefined ? roots : [...roots, ...Object.values(federated).flat()]
