/** Session persistence (GEP-1619): a client that comes back reaches the same endpoint. */

import { z } from 'zod'
import { duration, headerName, rules } from '../fields.ts'

const lifetimeType = () =>
  z.enum(['Permanent', 'Session']).default('Session').describe('Kept until absoluteTimeout, or until the browser closes.')

/** sessionName and cookieConfig are those of Gateway API 1.6; cookie and header those of what comes after it. */
export const sessionPersistence = z
  .strictObject({
    type: z.enum(['Cookie', 'Header']).default('Cookie').describe('What carries the session.'),
    absoluteTimeout: duration().optional().describe('The longest life of a session; of a Permanent cookie only.'),
    sessionName: headerName().max(128).optional().describe('Name of the cookie or of the header; absent: one made of the rule.'),
    cookieConfig: z.strictObject({ lifetimeType: lifetimeType() }).optional().describe('Settings of type Cookie.'),
    cookie: z
      .strictObject({
        name: headerName().optional().describe('Name of the cookie, in place of sessionName.'),
        lifetimeType: lifetimeType(),
        path: z.string().max(1024).default('/').describe('Path of the cookie.'),
      })
      .optional()
      .describe('Settings of type Cookie, in place of cookieConfig.'),
    header: z
      .strictObject({ name: headerName().describe('Name of the header, in place of sessionName.') })
      .optional()
      .describe('Settings of type Header.'),
  })
  .check(
    rules(function* ({ type, absoluteTimeout, sessionName, cookieConfig, cookie, header }) {
      if ((cookie ?? cookieConfig)?.lifetimeType === 'Permanent' && absoluteTimeout === undefined)
        yield { path: ['absoluteTimeout'], says: 'is needed for a Permanent cookie' }
      const others = type === 'Cookie' ? { header } : { cookie, cookieConfig }
      for (const [name, value] of Object.entries(others))
        if (value !== undefined) yield { path: [name], says: `does not go with type ${type}` }
      if (cookie !== undefined && cookieConfig !== undefined)
        yield { path: ['cookieConfig'], says: 'says the same as cookie: write one of them' }
      if (sessionName !== undefined && (cookie?.name ?? header?.name) !== undefined)
        yield { path: ['sessionName'], says: `is said by ${header === undefined ? 'cookie' : 'header'}.name already` }
    }),
  )
