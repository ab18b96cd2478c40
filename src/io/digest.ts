/** Digests that protocols ask for. Not for secrets. */

import { createHash } from 'node:crypto'

export const sha1Base64 = (text: string): string => createHash('sha1').update(text).digest('base64')
