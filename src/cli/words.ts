/** Counting words in sentences. */

/** `1 proxy`, `3 proxies`. */
export const count = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`
