/** What one check found, and what a person is to do about it. */

/** no: Weft does not work so. warn: it works with less, as `says` tells. Sentences without a final stop. */
export type Check = { readonly name: string; readonly ok: 'yes' | 'no' | 'warn'; readonly says: string; readonly remedy?: string }
