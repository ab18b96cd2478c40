/** /weft/v1/root-rotation: how far the replacement of the root is, and its next step. */

import type { RootRequest } from '#api/mesh-api'
import { type ExtraRoute, json, Refusal } from './api.ts'
import { authorOf } from './api/author.ts'
import type { Authority } from './authority.ts'
import type { Store } from './store.ts'
import type { RotationWatch } from './root-rotation.ts'

/** watch: absent where the roots are not the mesh's own. */
export function rootRoutes(authority: Authority, watch: RotationWatch | undefined, store: Store): ExtraRoute[] {
  const own = (): RotationWatch => {
    if (watch !== undefined) return watch
    throw new Refusal(
      409,
      'Conflict',
      `the authority of this mesh is of type ${authority.issuer}: its root is replaced there; the mesh then trusts what it says`,
    )
  }
  return [
    { method: 'GET', path: '/weft/v1/root-rotation', handle: () => json(200, own().plan()) },
    {
      method: 'POST',
      path: '/weft/v1/root-rotation',
      handle: async request => {
        const { action, force } = asRequest(new TextDecoder().decode(await request.body()))
        const plan = action === 'step' ? await own().step(force === true) : await own().automate(action === 'start')
        if (plan !== undefined) {
          const what = action === 'step' ? `step to ${plan.stage}${force === true ? ', forced' : ''}` : action
          store.note(what, { group: '', kind: 'RootCertificate', namespace: '', name: plan.root.sha256.slice(0, 16) }, authorOf(request))
          return json(200, plan)
        }
        throw new Refusal(409, 'Conflict', `the next step waits: ${own().plan().waitsFor.join('; ')}`)
      },
    },
  ]
}

function asRequest(text: string): RootRequest {
  let said: unknown
  try {
    said = JSON.parse(text)
  } catch (thrown) {
    throw new Refusal(400, 'BadRequest', `the body is not JSON: ${(thrown as Error).message}`)
  }
  const { action, force } = (said ?? {}) as Record<string, unknown>
  if (action !== 'step' && action !== 'start' && action !== 'stop')
    throw new Refusal(400, 'BadRequest', 'action: must be step, start or stop')
  if (force !== undefined && typeof force !== 'boolean') throw new Refusal(400, 'BadRequest', 'force: must be true or false')
  return { action, ...(force === undefined ? {} : { force }) }
}
