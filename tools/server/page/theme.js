// Dark or light before anything is painted, which is why this is no module: the choice made on this
// page if there is one, else what the system prefers (style.css decides that).
document.documentElement.dataset.theme = localStorage["pixtral.theme"] ?? "";
