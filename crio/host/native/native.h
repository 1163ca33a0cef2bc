/* What the C extension gives to Python. Every function that can fail returns -errno. */
int crio_mount(const char *source, const char *target, const char *fstype, unsigned long flags, const char *data);
int crio_umount2(const char *target, int flags);
int crio_openat2(int dir_fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
int crio_syncfs(int fd);
int crio_prctl(int option, unsigned long arg2, unsigned long arg3);
int64_t crio_fs_type(const char *path);
int crio_open_tree(int dir_fd, const char *path, unsigned int flags);
int crio_move_mount(int from_fd, const char *from_path, int to_fd, const char *to_path, unsigned int flags);
int crio_fsopen(const char *fstype, unsigned int flags);
int crio_fsconfig(int fd, unsigned int command, const char *key, const char *value, int aux);
int crio_fsmount(int fd, unsigned int flags, unsigned int attr_flags);
int crio_mount_setattr(int dir_fd, const char *path, unsigned int flags, uint64_t attr_set, uint64_t attr_clr,
                       uint64_t propagation, int userns_fd);
int crio_renameat2(int old_fd, const char *old_path, int new_fd, const char *new_path, unsigned int flags);
int crio_quotactl_fd(int fd, unsigned int command, int id, void *value);
int crio_forward(int listen_fd, int stop_fd, const char *grpc_path, const char *http_path);
int crio_inotify_init(void);
int crio_inotify_add(int fd, const char *path, uint32_t mask);
int crio_inotify_remove(int fd, int watch);
