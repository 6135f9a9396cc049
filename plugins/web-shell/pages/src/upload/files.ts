// Files out of a drop, folders opened; which of them are DICOM.

const FILES_MAX = 200_000;

function readAll(reader: FileSystemDirectoryReader): Promise<FileSystemEntry[]> {
  return new Promise((resolve, reject) => reader.readEntries(resolve, reject));
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject));
}

async function walk(entry: FileSystemEntry, out: File[]): Promise<void> {
  if (out.length >= FILES_MAX) return;
  if (entry.isFile) {
    out.push(await fileOf(entry as FileSystemFileEntry));
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  // A directory is read in portions until one is empty.
  for (let part = await readAll(reader); part.length > 0; part = await readAll(reader))
    for (const child of part) await walk(child, out);
}

// Entries must be taken before the drop's event has ended.
export async function filesOf(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map(item => item.webkitGetAsEntry?.()).filter(entry => entry !== null && entry !== undefined);
  if (entries.length === 0) return [...transfer.files];
  const out: File[] = [];
  for (const entry of entries) await walk(entry, out);
  return out;
}

export async function isDicom(file: File): Promise<boolean> {
  const mark = await file.slice(128, 132).arrayBuffer();
  return new TextDecoder('latin1').decode(mark) === 'DICM';
}
