/** Claims of a token as headers for the workload: the shape that JWTPolicy and LoginPolicy share. */

import { z } from 'zod'
import { atomicList, headerName, rules } from '../fields.ts'

const reserved = /^(:|host$|authorization$|content-length$|transfer-encoding$|connection$|te$|upgrade$|cookie$|x-weft-|x-forwarded-)/i
/** It has a meaning of its own, that a claim must not change. */
export const isReservedHeader = (name: string): boolean => reserved.test(name)

export const claimsToHeaders = () =>
  atomicList(
    z.strictObject({
      claim: z
        .string()
        .regex(/^[^.\\\s]+(\.[^.\\\s]+)*$/, { message: 'must be names of claims with dots between' })
        .max(256)
        .describe('Name of the claim; a dot leads into it.'),
      header: headerName().describe('The header that gets its value.'),
    }),
  )
    .min(1)
    .max(32)
    .check(
      rules<{ readonly claim: string; readonly header: string }[]>(function* (list) {
        for (const [at, { header }] of list.entries()) {
          if (isReservedHeader(header)) yield { path: [at, 'header'], says: `${header} has a meaning of its own: choose another` }
          if (list.findIndex(each => each.header.toLowerCase() === header.toLowerCase()) < at)
            yield { path: [at, 'header'], says: 'stands twice: remove one' }
        }
      }),
    )
    .describe(
      'What the workload is told of the token. Such headers of callers are always taken out, in any case and with _ for -. Lists and objects are written as JSON in base64url.',
    )
