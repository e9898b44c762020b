/** JSON as a file that people read. */
export const jsonFile = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`
