/** Texts that nobody can guess, and what is kept of them: tokens of users, cookies, states of a login. */

import { createHash, randomBytes } from 'node:crypto'

/** 256 random bits: prefix and 43 letters of base64url. */
export const newSecretText = (prefix = ''): string => `${prefix}${randomBytes(32).toString('base64url')}`

/** SHA-256, hex. Enough for what cannot be guessed; never for passwords. To look one up by it tells nothing by its time but of the hash. */
export const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')
