// Loaded before Azurite: lets its listing of blobs know `startFrom`, as Azure does (Azurite#2619). Delta lists its log
// with it; without it an old log entry looks like a new one.
// Needed where Azurite is opened as the real service is, with the managed identity; the lake's own way to Azurite does not.
const path = require("path");
const Handler = require(path.join(path.dirname(process.argv[1]), "blob/handlers/ContainerHandler")).default;
const list = Handler.prototype.listBlobFlatSegment;
Handler.prototype.listBlobFlatSegment = async function (options, context) {
  const from = context.request.getQuery("startFrom");
  const response = await list.call(this, options, context);
  if (from) {
    response.segment.blobItems = response.segment.blobItems.filter((blob) => blob.name >= from);
  }
  return response;
};
