/** Whose change a request is, for the record. */

import type { HttpRequest } from '#io/http-server'
import { anybody, type Asked, type Principal } from '../operators/principal.ts'
import type { Author } from '../store.ts'

export const authorOf = (request: Asked): Author => apiAuthor(request, request.by)

/** by undefined: somebody who proved nothing. */
export const apiAuthor = ({ address, headers }: HttpRequest, by: Principal = anybody): Author => ({
  who: by.name,
  how: by.how,
  address,
  agent: (headers['user-agent'] ?? '').slice(0, 200),
})
