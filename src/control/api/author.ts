/** Whose change a request is, for the record. */

import type { HttpRequest } from '#io/http-server'
import type { Author } from '../store.ts'

/** Nobody proves who they are to this API yet; so the record says that, and from where and with what the change came. */
export const authorOf = ({ address, headers }: HttpRequest): Author => ({
  who: 'anonymous',
  address,
  agent: (headers['user-agent'] ?? '').slice(0, 200),
})
