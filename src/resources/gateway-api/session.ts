/** Session persistence (GEP-1619): a client that comes back reaches the same endpoint. */

import { z } from 'zod'
import { duration, headerName, rules } from '../fields.ts'

export const sessionPersistence = z
  .strictObject({
    type: z.enum(['Cookie', 'Header']).default('Cookie').describe('What carries the session.'),
    absoluteTimeout: duration().optional().describe('The longest life of a session; of a Permanent cookie only.'),
    cookie: z
      .strictObject({
        name: headerName().optional().describe('Name of the cookie.'),
        lifetimeType: z
          .enum(['Permanent', 'Session'])
          .default('Session')
          .describe('Kept until absoluteTimeout, or until the browser closes.'),
        path: z.string().max(1024).default('/').describe('Path of the cookie.'),
      })
      .optional()
      .describe('Settings of type Cookie.'),
    header: z
      .strictObject({ name: headerName().describe('Name of the header.') })
      .optional()
      .describe('Settings of type Header.'),
  })
  .check(
    rules(function* (session) {
      if (session.cookie?.lifetimeType === 'Permanent' && session.absoluteTimeout === undefined)
        yield { path: ['absoluteTimeout'], says: 'is needed for a Permanent cookie' }
      const [wanted, other] = session.type === 'Cookie' ? (['cookie', 'header'] as const) : (['header', 'cookie'] as const)
      if (session[wanted] === undefined) yield { path: [wanted], says: `is needed for type ${session.type}` }
      if (session[other] !== undefined) yield { path: [other], says: `does not go with type ${session.type}` }
    }),
  )
