/** What an id of a trace and one of a span may be. */

/** 32 and 16 hexadecimal digits in lower case, not all of them zero. */
export const isTraceId = (text: string): boolean => /^[0-9a-f]{32}$/.test(text) && !/^0+$/.test(text)
export const isSpanId = (text: string): boolean => /^[0-9a-f]{16}$/.test(text) && !/^0+$/.test(text)
