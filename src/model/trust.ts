/** All roots by which a handshake may be verified; whose each is, is judged after it. */

import type { Trust } from './view.ts'

export const allRoots = ({ roots, federated }: Trust): readonly string[] =>
  federated === undefined ? roots : [...roots, ...Object.values(federated).flat()]
